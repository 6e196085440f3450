"""A clock that requests set: a simulated week passes in a minute, and its exposures have the times of that week.

Only `recsys serve --simulated-clock` uses it, which a world that was not simulated refuses. Without it the header is ignored.

Belongs here: the clock, and an event spool that follows it. Does not: what the simulated readers do (simulation/).
"""

import datetime as dt
from contextvars import ContextVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recsys_platform.common.clock import SIMULATED_TIME, utc_now
from recsys_platform.serving.answer_counts import AnswerCounts
from recsys_platform.serving.exposures import EventSpool
from recsys_platform.serving.gateway.problems import ProblemError, problem_reply
from recsys_platform.serving.gateway.replies import send_reply

_HEADER = SIMULATED_TIME.encode()
_now: ContextVar[dt.datetime | None] = ContextVar("simulated_now", default=None)
_newest: list[dt.datetime] = []


def simulated_now() -> dt.datetime:
    """The time that the request gives; without one, that of the newest request that gave one, or the current time."""
    return _now.get() or next(iter(_newest), None) or utc_now()


class SimulatedClock:
    """ASGI middleware: the time of a request is that of its header, ISO 8601 with an offset."""

    def __init__(self, app: ASGIApp) -> None:
        """`app`: the application that asks `simulated_now`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request at its time."""
        text = dict(scope.get("headers", ())).get(_HEADER)
        if text is not None:
            try:
                _now.set(dt.datetime.fromisoformat(text.decode()).astimezone(dt.UTC))
                _newest[:] = [simulated_now()]
            except (ValueError, OverflowError):
                problem = ProblemError("invalid-request", f"The header {SIMULATED_TIME} is not a time of ISO 8601.")
                await send_reply(problem_reply(problem, ""), (), send)
                return
        await self._app(scope, receive, _with_header(send) if text else send)


def _with_header(send: Send) -> Send:
    """Tell the client that its time was taken."""

    async def send_with_header(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (_HEADER, b"taken")]
        await send(message)

    return send_with_header


class DailySpool(EventSpool):
    """An event spool that begins a file each simulated day: a landing object does not arrive before its events happen."""

    _day: dt.date | None = None

    def append_lines(self, lines: bytes, events: int = 1) -> bool:
        """Write events to the file of the day."""
        if (today := self.now().date()) != self._day:
            self._close_file()
            self._day = today
        return super().append_lines(lines, events)


class SimulatedCounts(AnswerCounts):
    """Counts of answers at simulated times: readers use the app one after another, so no period is over before the day is."""

    def flush_periods_over(self) -> None:
        """Write all that is counted."""
        self.flush()
