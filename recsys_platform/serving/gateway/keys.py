"""API keys: issued with a role, a tier and an expiry; only a hash is kept.

Belongs here: the file of keys, and checking a key. Does not: tokens of an identity provider (tokens.py).

A key is `rk_{env}_{id}_{secret}`. The file has an HMAC-SHA256 of the secret with a pepper that stands in another file, so that neither
file alone is of use. Two secrets of a key may be valid at once, so that a key can be rotated without a gap.
"""

import datetime as dt
import fcntl
import hashlib
import hmac
import logging
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from recsys_platform.common.clock import utc_now
from recsys_platform.common.errors import RecsysError

_LOG = logging.getLogger(__name__)
Role = Literal["app", "reader", "analyst", "admin"]
Tier = Literal["free", "premium", "partner"]
ROLES, TIERS = get_args(Role), get_args(Tier)
OVERLAP = dt.timedelta(days=7)
REMEMBER_SECONDS, FORGET_SECONDS = 1.0, 86_400.0
_PEPPER = re.compile(rb"[0-9a-f]{64}")
_KEY = re.compile(r"rk_(?P<env>[a-z]+)_(?P<id>[0-9a-f]{12})_(?P<secret>[A-Za-z0-9]{32})", re.ASCII)
HandOver = Callable[[str], None]
"""Gives the text of a key to who will use it."""
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class ApiKeyError(RecsysError):
    """A key, role or tier is unknown, or the file of keys cannot be used."""


def checked_roles(names: Sequence[str]) -> tuple[Role, ...]:
    """The names as roles. Raises ApiKeyError for an unknown one."""
    if "reader" in names:
        raise ApiKeyError(
            "A key speaks for no single reader: give it the role app, and readers tokens of an identity provider."
        )
    return tuple(_checked(name, ROLES, "role") for name in dict.fromkeys(names))


def checked_tier(name: str) -> Tier:
    """The name as a tier. Raises ApiKeyError for an unknown one."""
    tier: Tier = _checked(name, TIERS, "tier")
    return tier


def _checked(name: str, known: tuple[Any, ...], what: str) -> Any:
    if name not in known:
        raise ApiKeyError(f"{name!r} is not a {what}: use one of {', '.join(known)}.")
    return name


class Secret(msgspec.Struct, frozen=True):
    """The hash of a secret, and until when it is valid (None: as long as the key)."""

    hash: str
    until: dt.datetime | None = None


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is kept: never with its secret."""

    id: str
    name: str
    roles: tuple[Role, ...]
    tier: Tier
    created_at: dt.datetime
    expires_at: dt.datetime | None = None
    revoked_at: dt.datetime | None = None
    secrets: tuple[Secret, ...] = ()

    def is_valid(self, now: dt.datetime) -> bool:
        """Whether the key may be used."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass
class KeyStore:
    """The keys of a world in one file, read again when it changes; `env` is part of each key."""

    folder: Path
    env: str
    now: Callable[[], dt.datetime] = utc_now
    _read: tuple[tuple[int, ...], dict[str, Key]] | None = None
    _read_at: float = float("-inf")
    _last_pepper: bytes | None = None
    _problems: dict[str, str] = field(default_factory=dict)
    _looked_at: float = -1.0
    _checked: dict[str, Key] = field(default_factory=dict)

    def create(
        self,
        name: str,
        *,
        roles: tuple[Role, ...] = ("app",),
        tier: Tier = "partner",
        days: int | None = None,
        hand_over: HandOver | None = None,
    ) -> tuple[Key, str]:
        """Issue a key; returns it and its text, which is shown once and not kept. What `hand_over` raises leaves no key."""
        self._ensure_pepper()
        secret = _new_secret()
        expires = self.now() + dt.timedelta(days=days) if days is not None else None
        key = Key(
            id=secrets.token_hex(6),
            name=name,
            roles=roles,
            tier=tier,
            created_at=self.now(),
            expires_at=expires,
            secrets=(Secret(self._hash(secret)),),
        )
        text = self._text(key.id, secret)
        if hand_over:
            hand_over(text)
        self._change(key.id, lambda _: key)
        return key, text

    @contextmanager
    def lent(self, name: str) -> Iterator[str]:
        """The text of a key for an app that is revoked when the block ends, and expires after a day if that is never."""
        key, text = self.create(name, days=1)
        try:
            yield text
        finally:
            self.revoke(key.id)

    def rotate(self, key_id: str, overlap: dt.timedelta = OVERLAP, hand_over: HandOver | None = None) -> str:
        """Give a key a new secret; the old one is valid for `overlap` more. Returns the new text.

        What `hand_over` raises changes nothing: else the next try would end the secret that the app has.
        """
        secret, until = _new_secret(), self.now() + overlap

        def rotated(key: Key | None) -> Key:
            if key is None or not key.is_valid(self.now()):
                raise ApiKeyError(f"There is no valid key {key_id}: `recsys keys list` shows all.")
            secrets_of_key = (Secret(self._hash(secret)), Secret(key.secrets[0].hash, until))
            return msgspec.structs.replace(key, secrets=secrets_of_key)

        text = self._text(key_id, secret)
        if hand_over:
            rotated(self.keys().get(key_id))  # a key that cannot be rotated needs no text
            hand_over(text)
        self._change(key_id, rotated)
        return text

    def revoke(self, key_id: str) -> Key:
        """Revoke a key at once."""
        return self._change(key_id, lambda _: msgspec.structs.replace(self.key(key_id), revoked_at=self.now()))

    def key(self, key_id: str) -> Key:
        """A key by its id. Raises if there is none."""
        found = self.keys().get(key_id)
        if found is None:
            raise ApiKeyError(f"There is no key {key_id}: `recsys keys list` shows all.")
        return found

    def keys(self) -> dict[str, Key]:
        """All keys by id, revoked ones too. Raises ApiKeyError if their file cannot be read."""
        try:
            return self._read_file()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ApiKeyError(f"The file of keys {self._file} cannot be read: {error}.") from error

    def known(self) -> dict[str, Key]:
        """All keys; those of before, for a day at most, while the file is away or damaged: that must lock nobody out."""
        try:
            found = self._read_file()
        except FileNotFoundError as error:
            if self._read is None:
                return {}
            return self._last_known(f"The file of keys is gone: {error}.")
        except (OSError, ApiKeyError) as error:
            return self._last_known(f"The keys cannot be read: {error}")
        self._read_at = time.monotonic()
        self._problems.pop("keys", None)
        return found

    def _last_known(self, problem: str) -> dict[str, Key]:
        self._report("keys", problem)
        if self._read is None or time.monotonic() - self._read_at > FORGET_SECONDS:
            raise ApiKeyError(problem)
        return self._read[1]

    def _read_file(self) -> dict[str, Key]:
        stat = self._file.stat()
        stamp = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if self._read is None or self._read[0] != stamp:
            found = _decode(self._file.read_bytes(), self._file)
            self._read = (stamp, {key.id: key for key in found})
            self._checked.clear()
        return self._read[1]

    def _report(self, what: str, problem: str) -> None:
        """Log once that something cannot be read."""
        if problem != self._problems.get(what):
            _LOG.error("%s The last known keys are used, for a day at most.", problem)
        self._problems[what] = problem

    def check(self, text: str) -> Key | None:
        """The key that a text is the secret of, if it is valid now; None otherwise. Compares in constant time.

        What was found is remembered for a second, then the file is looked at again: a revoked key ends within that. Raises ApiKeyError
        if the keys cannot be read and were not within a day.
        """
        now = time.monotonic()
        if now - self._looked_at > REMEMBER_SECONDS:
            self._checked.clear()
            self._looked_at = now
        key = self._checked.get(text)
        if key is None and (key := self._find(text)):
            self._checked[text] = key
        return key

    def signature(self, text: str) -> str:
        """A signature that only gateways of this world can make, such as for a cookie; no secret of a key has a colon."""
        return self._hash(f"signed:{text}")

    def _find(self, text: str) -> Key | None:
        found = _KEY.fullmatch(text)
        keys = self.known()
        if not keys:
            return None
        key = keys.get(found["id"]) if found else None
        # Hash in every case, so that the time does not tell whether the id exists.
        digest = self._hash(found["secret"] if found else "")
        now = self.now()
        live = [each.hash for each in key.secrets if each.until is None or now < each.until] if key else []
        matches = [hmac.compare_digest(digest, each) for each in live or [""]]
        return key if key and found and found["env"] == self.env and any(matches) and key.is_valid(now) else None

    @property
    def _file(self) -> Path:
        return self.folder / "keys.json"

    def _hash(self, secret: str) -> str:
        return hmac.new(self._pepper(), secret.encode(), hashlib.sha256).hexdigest()

    def _pepper(self) -> bytes:
        """The pepper; the one of before while its file is away or damaged."""
        try:
            found = (self.folder / "pepper").read_bytes()
        except OSError as error:
            found, problem = b"", f"The pepper of the keys cannot be read: {error}."
        else:
            problem = f"The pepper of the keys in {self.folder} is damaged: restore it from a backup."
        if _PEPPER.fullmatch(found):
            self._last_pepper = found
            self._problems.pop("pepper", None)
        elif self._last_pepper is None:
            raise ApiKeyError(problem)
        else:
            self._report("pepper", problem)
        return self._last_pepper

    def _ensure_pepper(self) -> None:
        """Make the pepper of a world without keys. A lost one is not made again: no key would work with it."""
        path = self.folder / "pepper"
        if path.exists() or self.keys():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".pepper-{secrets.token_hex(4)}")
        _write_private(draft, secrets.token_hex(32).encode())
        try:
            os.link(draft, path)  # the first of two processes wins
        except FileExistsError:
            pass
        finally:
            draft.unlink()

    def _text(self, key_id: str, secret: str) -> str:
        return f"rk_{self.env}_{key_id}_{secret}"

    def _change(self, key_id: str, change: Callable[[Key | None], Key]) -> Key:
        """Change a key as it is now; another command that writes at this moment is waited for."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600), "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._read = None
            keys = self.keys()
            changed = change(keys.get(key_id))
            draft = self._file.with_name(f".keys-{os.getpid()}")
            content = list({**keys, key_id: changed}.values())
            _write_private(draft, msgspec.json.format(msgspec.json.encode(content)))
            os.replace(draft, self._file)
            return changed


def _new_secret() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(32))


def _decode(content: bytes, path: Path) -> list[Key]:
    try:
        return msgspec.json.decode(content, type=list[Key])
    except msgspec.DecodeError as error:
        raise ApiKeyError(f"The file of keys {path} cannot be read: {error}. Restore it from a backup.") from error


def _write_private(path: Path, content: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
