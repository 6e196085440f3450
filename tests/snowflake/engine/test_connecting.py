"""What signs in to Snowflake, and the one sentence of what does not."""

import socket
import time
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from recsys_platform.common.errors import WarehouseError
from recsys_platform.config.factories import warehouse_of
from recsys_platform.config.settings import load_settings
from tests.support.pace import patience
from tests.support.servers import free_port

PHRASE = "the passphrase of the tests"
UNREADABLE = "RECSYS_SNOWFLAKE_PRIVATE_KEY is no private key in PEM form that its passphrase opens."


@pytest.fixture(scope="module")
def locked_key() -> str:
    """A private key behind a passphrase, PEM text."""
    key = generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PHRASE.encode())).decode()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Whoever calls here is connected and never answered."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


def refused(variables: dict[str, str], **more: str) -> WarehouseError:
    given = {f"RECSYS_SNOWFLAKE_{name.upper()}": value for name, value in more.items()}
    with pytest.raises(WarehouseError) as error:
        warehouse_of(load_settings(variables | given)).frame("select 1")
    assert "\n" not in str(error.value)
    return error.value


def all_that_is_told(error: BaseException) -> str:
    """The traceback with every error that led to this one, also those that Python would leave out."""
    told = "".join(traceback.format_exception(error)) + repr(error)
    behind = [each for each in (error.__cause__, error.__context__) if each is not None]
    return told + "".join(all_that_is_told(each) for each in behind)


def lines_of(key: str) -> list[str]:
    return [line for line in key.splitlines() if line and not line.startswith("-----")]


def test_a_key_behind_a_passphrase_signs_in(variables: dict[str, str], locked_key: str) -> None:
    given = {"RECSYS_SNOWFLAKE_PRIVATE_KEY": locked_key, "RECSYS_SNOWFLAKE_PASSPHRASE": PHRASE}
    assert warehouse_of(load_settings(variables | given)).frame("select 1 as one").to_pylist() == [{"one": 1}]


def connection_of(warehouse: Any) -> Any:
    with warehouse.connect() as session:
        return session.connection


def test_a_session_is_left_for_the_next_and_two_at_a_time_are_two(variables: dict[str, str]) -> None:
    warehouse = warehouse_of(load_settings(variables))
    first = connection_of(warehouse)
    with warehouse.connect() as session:
        assert session.connection is first
        assert connection_of(warehouse) is not first


def test_a_session_in_which_something_failed_is_not_used_again(variables: dict[str, str]) -> None:
    warehouse = warehouse_of(load_settings(variables))
    first = connection_of(warehouse)
    with pytest.raises(WarehouseError):
        warehouse.frame("select * from nowhere")
    assert first.is_closed()
    assert connection_of(warehouse) is not first


def test_a_session_that_was_left_long_ago_is_not_used_again(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys_platform.warehouse.snowflake.session.IDLE_FOR", 0)
    warehouse = warehouse_of(load_settings(variables))
    first, second = connection_of(warehouse), connection_of(warehouse)
    assert second is not first
    assert first.is_closed()


@pytest.mark.parametrize(
    "named",
    [{"passphrase": "a wrong one"}, {}],
    ids=["wrong passphrase", "no passphrase"],
)
def test_a_key_that_stays_locked_is_one_sentence_without_it(
    variables: dict[str, str], locked_key: str, named: dict[str, str]
) -> None:
    error = refused(variables, private_key=locked_key, **named)
    assert str(error) == UNREADABLE
    told = all_that_is_told(error)
    assert [line for line in [*lines_of(locked_key), "a wrong one"] if line in told] == []


def test_a_passphrase_for_a_key_that_has_none_is_the_same_sentence(variables: dict[str, str], private_key: str) -> None:
    error = refused(variables, passphrase=PHRASE)
    assert str(error) == UNREADABLE
    told = all_that_is_told(error)
    assert [line for line in [*lines_of(private_key), PHRASE] if line in told] == []


def damaged(key: str) -> dict[str, str]:
    """The key in forms in which people keep it by mistake."""
    first, *body, last = key.strip().splitlines()
    return {
        "no PEM": "".join(body),
        "cut short": "\n".join([first, *body[:-3], last]),
        "another beginning": "\n".join(["-----BEGIN CERTIFICATE-----", *body, "-----END CERTIFICATE-----"]),
        "a letter that is none": key.replace(body[3], body[3][:-1] + "\udce4"),
    }


@pytest.mark.parametrize("how", ["no PEM", "cut short", "another beginning", "a letter that is none"])
def test_a_key_that_is_no_key_is_one_sentence_without_it(variables: dict[str, str], private_key: str, how: str) -> None:
    error = refused(variables, private_key=damaged(private_key)[how])
    assert str(error) == UNREADABLE
    assert [line for line in lines_of(private_key) if line[:-1] in all_that_is_told(error)] == []


@pytest.mark.slow
def test_a_value_that_cannot_be_taken_is_not_told(variables: dict[str, str]) -> None:
    with pytest.raises(WarehouseError, match="Snowflake: ") as error:
        warehouse_of(load_settings(variables)).frame("select cast('reader@example.org' as integer)")
    told = "".join(traceback.format_exception(error.value))
    assert "reader@example.org" not in told.replace("select cast('reader@example.org' as integer)", "")


@pytest.mark.slow
def test_an_account_that_does_not_answer_is_said_soon(variables: dict[str, str]) -> None:
    address, began = f"http://127.0.0.1:{free_port()}", time.monotonic()
    error = refused(variables, address=address)
    assert time.monotonic() - began < 30 * patience()
    assert str(error) == (
        f"Snowflake account fakesnow does not answer at {address}/: check RECSYS_SNOWFLAKE_ACCOUNT and the network."
    )


@pytest.mark.slow
def test_an_account_that_stays_silent_is_said_soon(variables: dict[str, str], silent_port: int) -> None:
    began = time.monotonic()
    error = refused(variables, address=f"http://127.0.0.1:{silent_port}")
    assert time.monotonic() - began < 40 * patience()
    assert "does not answer at" in str(error)
