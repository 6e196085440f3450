"""Who calls, and whether they may: API keys, bearer tokens, and roles of endpoints.

Belongs here: from headers to a caller. Does not: how keys are kept (keys.py), how tokens are checked (tokens.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import msgspec

from recsys_platform.serving.gateway.keys import ApiKeyError, Key, KeyStore, Role, Tier
from recsys_platform.serving.gateway.problems import ProblemError
from recsys_platform.serving.gateway.tokens import TokenError, Tokens

_BEARER = b"bearer "
_CHALLENGE = {"www-authenticate": 'Bearer realm="recsys"'}
_BAD_TOKEN = {"www-authenticate": 'Bearer realm="recsys", error="invalid_token"'}
_HOW = "send `Authorization: Bearer KEY` with a key of `recsys keys create`"


class Caller(msgspec.Struct, frozen=True):
    """Who calls. `name`: the id of the key, or a hash of the token's subject, for limits and logs.

    `user_id`: the only reader that this caller may see, None for all.
    """

    name: str
    roles: frozenset[Role]
    tier: Tier
    user_id: str | None = None

    def check_roles(self, roles: frozenset[Role] | None) -> None:
        """Raise a problem unless the caller has one of some roles, None for everybody."""
        if roles is not None and not self.roles & roles:
            raise ProblemError("forbidden", f"This needs one of the roles {', '.join(sorted(roles))}.")

    def check_reader(self, user_id: str) -> None:
        """Raise a problem unless the caller may see a reader."""
        if self.user_id is not None and user_id != self.user_id:
            raise ProblemError("forbidden", "This token may only ask for its own reader.")

    def check_device(self, anonymous_id: str) -> None:
        """Raise a problem unless the caller may see a guest: what one did on a device is not for the token of a reader."""
        if self.user_id is not None and anonymous_id:
            raise ProblemError("forbidden", "This token may only ask for its own reader, not for a device.")


NOBODY = Caller("public", frozenset(), "free")


@dataclass(frozen=True)
class Access:
    """Checks callers against the keys of a world and, if there is a provider, against its tokens."""

    keys: KeyStore
    tokens: Tokens | None = None

    async def caller_of(self, headers: Mapping[bytes, bytes], roles: frozenset[Role] | None) -> Caller:
        """The caller of a request to an endpoint with these roles, which are checked later: a caller has limits before."""
        if roles is None:
            return NOBODY
        text = _credentials(headers)
        if not text:
            raise ProblemError("unauthenticated", f"There are no credentials: {_HOW}.", _CHALLENGE)
        if self.tokens and text.count(".") == 2:  # no key has a dot
            return await _bearer_caller(self.tokens, text)
        key = checked_key(self.keys, text)
        if key is None:
            raise ProblemError("unauthenticated", f"The key is unknown, expired or revoked: {_HOW}.", _CHALLENGE)
        return Caller(key.id, _role_set(key.roles), key.tier)


@cache
def _role_set(roles: tuple[Role, ...]) -> frozenset[Role]:
    return frozenset(roles)


def checked_key(keys: KeyStore, text: str) -> Key | None:
    """The key of a text, if it is valid now. Raises a problem if the keys cannot be read, which says nothing about this one."""
    try:
        return keys.check(text)
    except ApiKeyError as error:  # the store has logged it
        detail = "The keys cannot be read at the moment: try again in a minute."
        raise ProblemError("not-ready", detail, {"retry-after": "60"}) from error


async def _bearer_caller(tokens: Tokens, text: str) -> Caller:
    """The caller of a token: one reader has the limits of the lowest tier, a service those of a partner."""
    try:
        found = await tokens.bearer(text)
    except TokenError as error:
        raise ProblemError("unauthenticated", f"The token is not valid: {error}.", _BAD_TOKEN) from error
    return Caller(found.name, found.roles, "partner" if found.user_id is None else "free", found.user_id)


def _credentials(headers: Mapping[bytes, bytes]) -> str:
    found = headers.get(b"authorization", b"")
    if found[: len(_BEARER)].lower() == _BEARER:
        return found[len(_BEARER) :].decode("latin-1").strip()
    return headers.get(b"x-api-key", b"").decode("latin-1")
