"""A clock that requests set: a simulated week passes in a minute, and its exposures have the times of that week.

Only `recsys serve --simulated-clock` uses it, which a world that was not simulated refuses. Without it the header is ignored.

A day of simulated readers lands when it is over, or not at all: until the next day begins, its events wait in a folder of their own.
A day that was interrupted begins again, and what waited of it is removed. The readers say when a day begins
(`POST /simulated-days/2026-11-03`); without that events land as they do elsewhere.

Belongs here: the clock, and event spools that follow it. Does not: what the simulated readers do (simulation/).
"""

import datetime as dt
import shutil
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recsys_platform.common.clock import SIMULATED_DAYS, SIMULATED_TIME, utc_now
from recsys_platform.serving.answer_counts import AnswerCounts
from recsys_platform.serving.delivery import READY
from recsys_platform.serving.exposures import EventSpool
from recsys_platform.serving.gateway.access import Access
from recsys_platform.serving.gateway.keys import Role
from recsys_platform.serving.gateway.problems import ProblemError, problem_reply
from recsys_platform.serving.gateway.replies import Reply, send_reply

_HEADER = SIMULATED_TIME.encode()
_APPS: frozenset[Role] = frozenset(("app", "admin"))
_now: ContextVar[dt.datetime | None] = ContextVar("simulated_now", default=None)
_newest: list[dt.datetime] = []


def simulated_now() -> dt.datetime:
    """The time that the request gives; without one, that of the newest request that gave one, or the current time."""
    return _now.get() or next(iter(_newest), None) or utc_now()


@dataclass(frozen=True)
class SimulatedDays:
    """Begins the days of simulated readers. `begin`: called with the day. `access`: checks who says so."""

    begin: Callable[[dt.date], None]
    access: Access

    async def begin_day(self, scope: Scope) -> Reply:
        """Begin the day that a request names. Raises a problem if the caller may not, or if it is no day."""
        caller = await self.access.caller_of(dict(scope["headers"]), _APPS)
        caller.check_roles(_APPS)
        text = scope["path"].removeprefix(f"{SIMULATED_DAYS}/")
        try:
            day = dt.date.fromisoformat(text)
        except ValueError:
            raise ProblemError("invalid-request", f"{text!r} is not a day: write 2026-11-03.") from None
        self.begin(day)
        return Reply(b"{}")


class SimulatedClock:
    """ASGI middleware: the time of a request is that of its header, ISO 8601 with an offset."""

    def __init__(self, app: ASGIApp, days: SimulatedDays | None = None) -> None:
        """`app`: the application that asks `simulated_now`. `days`: begins days; without it no day is kept back."""
        self._app, self._days = app, days

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request at its time."""
        text = dict(scope.get("headers", ())).get(_HEADER)
        try:
            if text is not None:
                _set_time(text)
            if self._days and scope.get("path", "").startswith(f"{SIMULATED_DAYS}/"):
                await send_reply(await self._days.begin_day(scope), (), _with_header(send))
                return
        except ProblemError as problem:
            await send_reply(problem_reply(problem, ""), (), send)
            return
        await self._app(scope, receive, _with_header(send) if text else send)


def _set_time(text: bytes) -> None:
    try:
        _now.set(dt.datetime.fromisoformat(text.decode()).astimezone(dt.UTC))
    except (ValueError, OverflowError):
        detail = f"The header {SIMULATED_TIME} is not a time of ISO 8601."
        raise ProblemError("invalid-request", detail) from None
    _newest[:] = [simulated_now()]


def _with_header(send: Send) -> Send:
    """Tell the client that its time was taken."""

    async def send_with_header(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (_HEADER, b"taken")]
        await send(message)

    return send_with_header


class DailySpool(EventSpool):
    """An event spool of simulated days: a file holds events of one date, so that no landing object arrives before its events happen.

    Once a day of readers has begun, its events wait in the folder of the day until the next one begins. What readers do after midnight
    belongs to the day on which they came.
    """

    _date: dt.date | None = None
    _day: dt.date | None = None

    @property
    def open_folder(self) -> Path:
        """The folder of the day that has begun."""
        return waiting_days(self.folder) / str(self._day) if self._day else self.folder

    def _write_lines(self, lines: bytes) -> None:
        """Write events to the file of the date; whoever calls holds the lock."""
        if (today := self.now().date()) != self._date:
            self._close_locked()
            self._date = today
        super()._write_lines(lines)

    def begin_day(self, day: dt.date) -> None:
        """Hand over the events of all days before this one, and remove what waited of this one and of later ones."""
        with self._lock:  # an event that is written meanwhile would be in a folder that goes
            self._close_locked()
            for waiting in sorted(waiting_days(self.folder).glob("*")):
                if waiting.name < str(day):
                    for path in sorted(waiting.iterdir()):
                        path.rename(self.folder / path.with_suffix(READY).name)
                shutil.rmtree(waiting)
            self._day = day
            self.open_folder.mkdir(parents=True)
        self.hand_over()


def waiting_days(folder: Path) -> Path:
    """The folder, beside that of a spool, of the days of simulated readers that are not over."""
    return folder.with_name(f"{folder.name}-days")


class SimulatedCounts(AnswerCounts):
    """Counts of answers at simulated times: readers use the app one after another, so no period is over before the day is."""

    def flush_periods_over(self) -> None:
        """Write all that is counted."""
        self.flush()
