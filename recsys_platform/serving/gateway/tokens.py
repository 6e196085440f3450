"""Bearer tokens of an OpenID Connect provider: checked with the provider's public keys, which are fetched and cached.

Belongs here: from a token to a caller. Does not: API keys (keys.py), which endpoint needs which role (access.py).

The keys are fetched without blocking a request that can be answered without them, at most once a minute, from the configured address
alone: redirects are not followed. While the provider is away, the last keys are used for a day.
"""

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from recsys_platform.common.errors import RecsysError
from recsys_platform.serving.gateway.keys import ROLES, Role

_LOG = logging.getLogger(__name__)
ALGORITHMS = ("RS256", "ES256", "EdDSA")
_REQUIRED = ("iss", "aud", "exp")
"""`nbf` is optional, as in RFC 7519: few providers set it. Where it is set, it counts."""
LEEWAY_SECONDS = 30
LONGEST_TOKEN = 8_192
REFRESH_SECONDS, RETRY_SECONDS, FORGET_SECONDS = 300.0, 60.0, 86_400.0
FETCH_SECONDS = 3.0
MOST_JWKS_BYTES = 262_144
_MOST_TOKENS, _LONGEST_ID = 20_000, 500
_RSA_BITS = range(2048, 8193)


class TokenError(RecsysError):
    """A token is refused; the text says why, and nothing of the token."""


@dataclass(frozen=True)
class Bearer:
    """Who a valid token is about. `user_id`: the only reader whom it may see, None for all; `name`: a hash, for limits and logs."""

    name: str
    roles: frozenset[Role]
    user_id: str | None
    expires_at: float


@dataclass(frozen=True)
class Provider:
    """An OpenID Connect provider, and the claims that hold roles and the reader's id; a dot in a name leads into an object."""

    issuer: str
    audience: str
    jwks_url: str
    roles_claim: str = "roles"
    user_claim: str = "sub"
    default_roles: frozenset[Role] = frozenset()
    """Roles of a token that names none of ours."""


class Tokens:
    """Checks tokens of a provider; those that passed are remembered, by hash, until they expire or the keys change."""

    def __init__(self, provider: Provider) -> None:
        """`provider`: whose tokens are accepted."""
        self._provider = provider
        self._keys = ProviderKeys(provider.jwks_url)
        self._passed: OrderedDict[bytes, Bearer] = OrderedDict()
        self._generation = 0

    async def bearer(self, token: str) -> Bearer:
        """Return the bearer of a token. Raises TokenError unless it is valid now."""
        digest = hashlib.blake2b(token.encode(), digest_size=16).digest()
        found = self._remembered().get(digest)
        if found is not None and time.time() < found.expires_at:
            self._keys.refresh_if_old()
            return found
        found = await self._verified(token)
        passed = self._remembered()
        passed[digest] = found
        if len(passed) > _MOST_TOKENS:
            passed.popitem(last=False)
        return found

    def _remembered(self) -> OrderedDict[bytes, Bearer]:
        """The tokens that passed with the keys of now."""
        if self._generation != self._keys.generation:
            self._passed.clear()
            self._generation = self._keys.generation
        return self._passed

    async def _verified(self, token: str) -> Bearer:
        key = await self._keys.find(_key_id_of(token))
        provider = self._provider
        options: Any = {"require": list(_REQUIRED), "enforce_minimum_key_length": True}
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=provider.audience,
                issuer=provider.issuer,
                leeway=LEEWAY_SECONDS,
                options=options,
            )
        except (jwt.PyJWTError, ValueError, RecursionError, OverflowError) as error:
            raise TokenError(_reason_of(error)) from None
        return _bearer_of(claims, provider)


def _key_id_of(token: str) -> str:
    """The key id in the header of a token that may be worth a look at the keys."""
    if len(token) > LONGEST_TOKEN:
        raise TokenError("it is too long")
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise TokenError("it is not a JSON web token") from None
    if header.get("alg") not in ALGORITHMS:
        raise TokenError(f"its algorithm is not one of {', '.join(ALGORITHMS)}")
    key_id = header.get("kid")
    if not isinstance(key_id, str) or not key_id:
        raise TokenError("it names no key (`kid`)")
    return key_id


_REASONS: Mapping[type[Exception], str] = {
    jwt.ExpiredSignatureError: "it has expired",
    jwt.ImmatureSignatureError: "it is not valid yet",
    jwt.InvalidAudienceError: "it is for another audience",
    jwt.InvalidIssuerError: "another issuer made it",
}


def _reason_of(error: Exception) -> str:
    if isinstance(error, jwt.MissingRequiredClaimError):
        return f"it has no claim `{error.claim}`"
    return _REASONS.get(type(error), "its signature or form is not valid")


def _bearer_of(claims: Mapping[str, Any], provider: Provider) -> Bearer:
    """The bearer that claims name: a token with the role of readers, and no wider one, is one reader's."""
    roles = _roles_in(_claim(claims, provider.roles_claim)) or provider.default_roles
    user_id, subject = None, claims.get("sub")
    if "reader" in roles and not roles & {"app", "admin"}:
        user_id = subject = _claim(claims, provider.user_claim)
        if not isinstance(user_id, str) or not 0 < len(user_id) <= _LONGEST_ID:
            raise TokenError(f"it names no reader (claim `{provider.user_claim}`)")
    try:
        expires_at = float(claims["exp"]) + LEEWAY_SECONDS
    except OverflowError:
        raise TokenError("it never expires") from None
    name = hashlib.blake2b(f"{provider.issuer}\n{subject}".encode(), digest_size=9).hexdigest()
    return Bearer(f"oidc-{name}", roles, user_id, expires_at)


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """The claim of that name; a name such as `realm_access.roles` is looked up as a path if there is no such claim."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _roles_in(claim: Any) -> frozenset[Role]:
    names = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else []
    return frozenset(role for role in ROLES if role in names)


class _Jwks(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


@dataclass
class ProviderKeys:
    """The public keys of a provider by key id. `generation` grows when they change."""

    url: str
    generation: int = 0
    _keys: dict[str, jwt.PyJWK] = field(default_factory=dict)
    _content: bytes = b""
    _fetched_at: float = float("-inf")
    _tried_at: float = float("-inf")
    _task: asyncio.Task[None] | None = None

    async def find(self, key_id: str) -> jwt.PyJWK:
        """Return a key; waits for the provider only if the key is unknown and the keys were not fetched within a minute."""
        if time.monotonic() - self._fetched_at > FORGET_SECONDS:
            self._replace(b"", {})
        self.refresh_if_old()
        if key_id not in self._keys and (task := self._refresh()):
            await asyncio.shield(task)
        key = self._keys.get(key_id)
        if key is None:
            raise TokenError("its key is unknown")
        return key

    def refresh_if_old(self) -> None:
        """Fetch the keys in the background if they are due."""
        if time.monotonic() - self._fetched_at > REFRESH_SECONDS:
            self._refresh()

    def _refresh(self) -> asyncio.Task[None] | None:
        """The running fetch, or a new one unless the last one was less than a minute ago."""
        if self._task is None or self._task.done():
            if time.monotonic() - self._tried_at < RETRY_SECONDS:
                return None
            self._tried_at = time.monotonic()
            self._task = asyncio.create_task(self._fetch())
        return self._task

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                content = await _content_of(self.url)
            self._replace(content, _keys_in(content))
            self._fetched_at = time.monotonic()
        except Exception as error:  # noqa: BLE001  # whatever a provider answers, the last keys go on
            _LOG.error("The keys of %s could not be fetched: %s", self.url, str(error) or type(error).__name__)

    def _replace(self, content: bytes, keys: dict[str, jwt.PyJWK]) -> None:
        if content != self._content:
            self._content, self._keys = content, keys
            self.generation += 1


async def _content_of(url: str) -> bytes:
    """The content at an address: no redirects, no compression, a bounded size."""
    context = await asyncio.to_thread(httpx.create_ssl_context)
    headers = {"accept": "application/json", "accept-encoding": "identity"}
    async with (
        httpx.AsyncClient(verify=context, follow_redirects=False, timeout=FETCH_SECONDS) as client,
        client.stream("GET", url, headers=headers) as response,
    ):
        if response.status_code != 200 or "content-encoding" in response.headers:
            raise TokenError(f"the answer has status {response.status_code}, or is compressed")
        content = b""
        async for part in response.aiter_raw():
            content += part
            if len(content) > MOST_JWKS_BYTES:
                raise TokenError(f"the answer has more than {MOST_JWKS_BYTES:,} bytes")
        return content


def _keys_in(content: bytes) -> dict[str, jwt.PyJWK]:
    """The usable keys of a JSON web key set. Raises TokenError if there is none."""
    try:
        found = msgspec.json.decode(content, type=_Jwks).keys
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise TokenError(f"the answer is not a JSON web key set ({type(error).__name__})") from error
    keys = {str(each.get("kid", "")): key for each in found if (key := _usable_key(each))}
    if not keys:
        raise TokenError("the answer has no usable key")
    return keys


def _usable_key(given: dict[str, Any]) -> jwt.PyJWK | None:
    """A key of an allowed algorithm and a usual size that is meant for signatures; None for any other."""
    if not isinstance(given.get("kid"), str) or given.get("use", "sig") != "sig":
        return None
    try:
        key = jwt.PyJWK({name: value for name, value in given.items() if name != "d"})
    except Exception:  # noqa: BLE001  # a key may be wrong in any way
        return None
    if key.algorithm_name not in ALGORITHMS:
        return None
    return key if not isinstance(key.key, RSAPublicKey) or key.key.key_size in _RSA_BITS else None
