"""A session in a Snowflake account, by key pair; errors are sentences without secrets."""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import snowflake.connector
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import SecretStr
from snowflake.connector import SnowflakeConnection
from snowflake.connector.backoff_policies import exponential_backoff
from snowflake.connector.errors import Error

from recsys_platform.common.errors import WarehouseError
from recsys_platform.warehouse.snowflake.arrow_types import to_port_types

# Seconds after which a login is not tried again; the connector, left alone, goes on for a minute. The last wait and the last try, of
# at most ten seconds, come on top.
LOGIN_TIMEOUT = 15
LONGEST_WAIT = 4  # seconds, between two tries; at most 16 if left alone
NETWORK_TIMEOUT = (
    600  # seconds, for all tries of one request; a statement may run longer, its answer is asked for again
)
IDLE_FOR = (
    60  # seconds that a session is left for the next who asks; it may have ended at the other end if it was longer
)
_GIVEN_UP = "Could not connect to Snowflake backend"  # says the connector, and how often it tried
LOCK_TIMEOUT = 600  # seconds that a statement waits for another transaction; Snowflake's own default is twelve hours
ABOUT_DATA = range(100_000, 101_000)
"""Errors of a statement that met a value it cannot take, which they quote: it may be somebody's e-mail address."""
_QUOTED = re.compile("'.*'")
BUSY = frozenset({625})
"""Errors of a statement that gave up waiting for the lock of another transaction: to be tried again."""


@dataclass(frozen=True)
class Account:
    """Where a Snowflake database is and who we are there; `address` only if it is not the account's own."""

    account: str
    user: str
    private_key: SecretStr
    passphrase: SecretStr | None
    role: str
    warehouse: str
    database: str
    address: str | None = None

    @contextmanager
    def connect(self) -> Iterator["Session"]:
        """A session of one's own; `WarehouseError` if there is none to be had.

        It is left for whoever asks within `IDLE_FOR`, since signing in takes longer than most statements, and closed if the block
        fails.
        """
        session = self._left_by_another() or self._signed_in()
        try:
            yield session
        except BaseException:
            session.connection.close()
            raise
        self._idle.append((time.monotonic(), session))

    @cached_property
    def _idle(self) -> list[tuple[float, "Session"]]:
        """Sessions that nobody has, and since when."""
        return []

    def _left_by_another(self) -> "Session | None":
        while self._idle:
            try:
                since, session = self._idle.pop()
            except IndexError:  # another thread was faster
                return None
            if time.monotonic() - since < IDLE_FOR:
                return session
            session.connection.close()
        return None

    def _signed_in(self) -> "Session":
        try:
            return Session(snowflake.connector.connect(**self._parameters()))
        except Error as error:
            raise WarehouseError(self._why_not(error)) from error

    def _why_not(self, error: Error) -> str:
        if _GIVEN_UP in str(error.msg):
            where = f" at {self.address}" if self.address else ""
            return f"Snowflake account {self.account} does not answer{where}: check RECSYS_SNOWFLAKE_ACCOUNT and the network."
        return f"Snowflake account {self.account} gives {self.user} no session: {_error_text(error)}"

    def _parameters(self) -> dict[str, Any]:
        there = urlsplit(self.address) if self.address else None
        elsewhere = {"host": there.hostname, "port": there.port or 443, "protocol": there.scheme} if there else {}
        return {
            **elsewhere,
            "account": self.account,
            "user": self.user,
            "authenticator": "SNOWFLAKE_JWT",
            "private_key": self._key,
            "role": self.role,
            "warehouse": self.warehouse,
            "database": self.database,
            "paramstyle": "qmark",
            "arrow_number_to_decimal": True,
            "login_timeout": LOGIN_TIMEOUT,
            "network_timeout": NETWORK_TIMEOUT,
            "backoff_policy": exponential_backoff(cap=LONGEST_WAIT),
            "session_parameters": {"QUERY_TAG": "recsys", "TIMEZONE": "UTC", "LOCK_TIMEOUT": LOCK_TIMEOUT},
        }

    @cached_property
    def _key(self) -> RSAPrivateKey:
        """The private key, opened once; `WarehouseError` if the setting holds none."""
        phrase = self.passphrase.get_secret_value().encode() if self.passphrase else None
        key = _opened(self.private_key.get_secret_value(), phrase)
        if key is None:
            # Not raised from the error of opening it, whose text may quote the key.
            raise WarehouseError(
                "RECSYS_SNOWFLAKE_PRIVATE_KEY is no private key in PEM form that its passphrase opens."
            )
        return key


def _opened(pem: str, phrase: bytes | None) -> RSAPrivateKey | None:
    try:
        key = load_pem_private_key(pem.encode(), phrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, RSAPrivateKey) else None


@dataclass(frozen=True)
class Session:
    """An open connection; every statement is committed by itself unless a transaction is open."""

    connection: SnowflakeConnection

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows that a statement answers."""
        with self._cursor(sql, parameters) as cursor:
            return [tuple(row) for row in cursor.fetchall()]

    def execute_discreetly(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The same for values that are secret: an error tells its number, since its words and its causes may quote them."""
        number = None
        try:
            return self.execute(sql, parameters)
        except SnowflakeError as error:
            number = error.errno
        raise SnowflakeError(f"Snowflake refuses a statement about a secret, error {number}: {sql}", number)

    def frame(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """The answer to a query as the port gives it."""
        with self._cursor(sql, parameters) as cursor:
            return to_port_types(
                cursor.fetch_arrow_all(force_return_table=True, force_microsecond_precision=True), cursor.description
            )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block, or nothing of it. A statement that defines something would end it: none may be inside."""
        self.execute("begin")
        try:
            yield
        except BaseException:
            with suppress(
                Error
            ):  # a connection that is gone has nothing to roll back, and its own error is the one to tell
                self.connection.rollback()
            raise
        self.execute("commit")

    @contextmanager
    def _cursor(self, sql: str, parameters: Sequence[Any]) -> Iterator[Any]:
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(sql, tuple(parameters) or None)
                yield cursor
        except Error as error:
            cause = None if error.errno in ABOUT_DATA else error
            raise SnowflakeError(f"Snowflake: {_error_text(error)}", error.errno) from cause


class SnowflakeError(WarehouseError):
    """What Snowflake says of a statement, with its number."""

    def __init__(self, message: str, errno: int | None) -> None:
        super().__init__(message)
        self.errno = errno

    @property
    def is_busy(self) -> bool:
        """Whether the same statement may do when another transaction has ended."""
        return self.errno in BUSY


def _error_text(error: Error) -> str:
    text = " ".join(str(error.msg or error).split())
    return (_QUOTED.sub("'…'", text) if error.errno in ABOUT_DATA else text)[:500]
