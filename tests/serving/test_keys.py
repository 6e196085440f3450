"""API keys: only a hash is kept, and a key works while it is valid, on every gateway of a world."""

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from recsys_platform.serving.gateway import keys
from recsys_platform.serving.gateway.keys import ApiKeyError, KeyStore, checked_roles, checked_tier

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)


class Clock:
    moment = NOW

    def __call__(self) -> dt.datetime:
        return self.moment

    def later(self, **delta: float) -> None:
        self.moment += dt.timedelta(**delta)


@pytest.fixture(autouse=True)
def _look_at_the_file_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "REMEMBER_SECONDS", -1.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> KeyStore:
    return KeyStore(tmp_path, "local", clock)


def test_the_text_of_a_key_is_its_only_secret_and_is_not_kept(store: KeyStore, tmp_path: Path) -> None:
    key, text = store.create("app")
    secret = text.rpartition("_")[2]
    assert store.check(text) == key
    for path in tmp_path.iterdir():
        assert secret not in path.read_text()
        assert path.stat().st_mode & 0o077 == 0


def test_a_key_ends_when_it_expires_or_is_revoked_also_for_other_gateways(store: KeyStore, clock: Clock) -> None:
    other = KeyStore(store.folder, "local", clock)
    short, text = store.create("trial", days=2)
    assert other.check(text) == short
    clock.later(days=2)
    assert other.check(text) is None
    lasting, text = store.create("app")
    assert other.check(text) == lasting
    store.revoke(lasting.id)
    assert other.check(text) is None


def test_a_rotated_key_has_two_secrets_for_a_while(store: KeyStore, clock: Clock) -> None:
    key, old = store.create("app")
    new = store.rotate(key.id, dt.timedelta(days=1))
    assert store.check(old)
    assert store.check(new)
    clock.later(days=1)
    assert store.check(old) is None
    assert store.check(new)


WRONG = {
    "nothing": lambda text: "",
    "another secret": lambda text: text[:-1] + ("a" if text[-1] != "a" else "b"),
    "another environment": lambda text: text.replace("rk_local", "rk_aws"),
    "another id": lambda text: text.replace(text.split("_")[2], "0" * 12),
    "a blank after it": lambda text: f"{text}\n",
    "not ASCII": lambda text: f"{text[:-1]}ä",
}


@pytest.mark.parametrize("what", WRONG)
def test_a_text_that_is_no_key_is_refused(what: str, store: KeyStore) -> None:
    change: Any = WRONG[what]
    assert store.check(change(store.create("app")[1])) is None


def test_names_that_are_no_role_or_tier_are_refused_in_one_sentence(store: KeyStore) -> None:
    with pytest.raises(ApiKeyError, match="'boss' is not a role: use one of app, reader, analyst, admin"):
        checked_roles(["app", "boss"])
    with pytest.raises(ApiKeyError, match="'gold' is not a tier"):
        checked_tier("gold")
    with pytest.raises(ApiKeyError, match="There is no key abc"):
        store.revoke("abc")


def test_a_damaged_file_of_keys_opens_nothing(store: KeyStore) -> None:
    _, text = store.create("app")
    (store.folder / "keys.json").write_text("[{}]")
    with pytest.raises(ApiKeyError, match="cannot be read"):
        store.check(text)


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "damaged": lambda path: path.write_bytes(b"[{}]"),
    "empty": lambda path: path.write_bytes(b""),
    "a folder": directory,
    "gone": Path.unlink,
}


@pytest.mark.parametrize("what", DAMAGES)
@pytest.mark.parametrize("name", ["keys.json", "pepper"])
def test_known_keys_work_while_their_files_cannot_be_read_and_no_file_is_made_up(
    what: str,
    name: str,
    store: KeyStore,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (revoked, dead), (key, text) = store.create("old"), store.create("app", days=1)
    store.revoke(revoked.id)
    gateway = KeyStore(store.folder, "local", clock)
    assert gateway.check(text) == key
    DAMAGES[what](store.folder / name)
    made = sorted(store.folder.iterdir())
    for _ in range(3):
        assert gateway.check(text) == key
    assert (gateway.check(dead), gateway.check(text[:-1] + "!")) == (None, None)
    assert caplog.text.count("The last known keys are used") == 1
    assert text.rpartition("_")[2] not in caplog.text
    assert sorted(store.folder.iterdir()) == made
    another = KeyStore(store.folder, "local", clock)
    if (what, name) == ("gone", "keys.json"):
        assert another.check(text) is None
    else:
        with pytest.raises(ApiKeyError):
            another.check(text)
    monkeypatch.setattr(keys, "FORGET_SECONDS", -1.0)
    if name == "keys.json":
        with pytest.raises(ApiKeyError):
            gateway.check(text)
    clock.later(days=1)
    monkeypatch.setattr(keys, "FORGET_SECONDS", 60.0)
    assert gateway.check(text) is None


def test_a_pepper_that_is_lost_is_not_made_again(store: KeyStore) -> None:
    store.create("app")
    (store.folder / "pepper").unlink()
    with pytest.raises(ApiKeyError, match="The pepper of the keys cannot be read"):
        KeyStore(store.folder, "local").create("another")
    assert not (store.folder / "pepper").exists()


def test_keys_of_two_commands_at_once_are_both_kept(store: KeyStore, clock: Clock) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(
            pool.map(lambda name: KeyStore(store.folder, "local", clock).create(f"app {name}")[0].id, range(20))
        )
    assert set(store.keys()) == set(made)


def test_a_revoked_key_is_not_rotated_back_to_life(store: KeyStore) -> None:
    key, _ = store.create("app")
    store.revoke(key.id)
    with pytest.raises(ApiKeyError, match="no valid key"):
        store.rotate(key.id)
    assert store.key(key.id).revoked_at
