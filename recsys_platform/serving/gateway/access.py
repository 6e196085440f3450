"""Who calls, and whether they may: API keys, and roles of endpoints.

Belongs here: from headers to a caller. Does not: how keys are kept (keys.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from recsys_platform.serving.gateway.keys import KeyStore, Role, Tier
from recsys_platform.serving.gateway.problems import ProblemError

_BEARER = "bearer "
_CHALLENGE = {"www-authenticate": 'Bearer realm="recsys"'}
_HOW = "send `Authorization: Bearer KEY` with a key of `recsys keys create`"


@dataclass(frozen=True)
class Caller:
    """Who calls. `name`: the key's id, for limits and logs. `user_id`: the only reader that this caller may see, None for all."""

    name: str
    roles: frozenset[Role]
    tier: Tier
    user_id: str | None = None

    def check_reader(self, user_id: str) -> None:
        """Raise a problem unless the caller may see a reader."""
        if self.user_id is not None and user_id != self.user_id:
            raise ProblemError("forbidden", "This token may only ask for its own reader.")


NOBODY = Caller("public", frozenset(), "free")


@dataclass(frozen=True)
class Access:
    """Checks callers against the keys of a world."""

    keys: KeyStore

    def caller_of(self, headers: Mapping[str, str], roles: frozenset[Role] | None) -> Caller:
        """The caller of a request to an endpoint with these roles. Raises a problem unless one of them is the caller's."""
        if roles is None:
            return NOBODY
        caller = self._authenticated(_credentials(headers))
        if not caller.roles & roles:
            raise ProblemError("forbidden", f"This needs one of the roles {', '.join(sorted(roles))}.")
        return caller

    def _authenticated(self, text: str) -> Caller:
        if not text:
            raise ProblemError("unauthenticated", f"There are no credentials: {_HOW}.", _CHALLENGE)
        key = self.keys.check(text)
        if key is None:
            raise ProblemError("unauthenticated", f"The key is unknown, expired or revoked: {_HOW}.", _CHALLENGE)
        return Caller(key.id, frozenset(key.roles), key.tier)


def _credentials(headers: Mapping[str, str]) -> str:
    found = headers.get("authorization", "")
    return found[len(_BEARER) :].strip() if found[: len(_BEARER)].lower() == _BEARER else headers.get("x-api-key", "")
