"""How a session begins and ends."""

import gzip
import json
from typing import Any

import fakesnow.server as their_server
from fakesnow.conn import FakeSnowflakeConnection
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.support.snowflake.patches.transactions import roll_back

_LOGIN = "/session/v1/login-request"


class Sessions(dict[str, FakeSnowflakeConnection]):
    """The open sessions by token. One that is closed is rolled back and loses what only it had."""

    def __delitem__(self, token: str) -> None:
        """fakesnow only forgets a session: an open transaction would stay until somebody collects it."""
        session = self[token]
        super().__delitem__(token)
        roll_back(session)
        for forget in getattr(session, "at_end", {}).values():
            forget()
        session.close()


def install() -> None:
    """A session that the client closes ends here too.

    The connector says good-bye only if it was given a master token at login, and fakesnow gives none: every session would
    stay open, with its transaction and its temporary tables.
    """
    their_server.sessions = Sessions()
    routes = their_server.app.router.routes
    place = next(number for number, route in enumerate(routes) if route.path == _LOGIN)
    routes[place] = Route(_LOGIN, _login, methods=["POST"])


async def _login(request: Request) -> JSONResponse:
    answer: dict[str, Any] = json.loads((await their_server.login_request(request)).body)
    token = answer["data"]["token"]
    their_server.sessions[token].parameters = await _parameters(request)
    answer["data"]["masterToken"] = token
    return JSONResponse(answer)


async def _parameters(request: Request) -> dict[str, str]:
    """The session parameters that come with a login, of which fakesnow keeps one or two."""
    body = await request.body()
    plain = gzip.decompress(body) if request.headers.get("Content-Encoding") == "gzip" else body
    return {name.upper(): str(value) for name, value in json.loads(plain)["data"]["SESSION_PARAMETERS"].items()}
