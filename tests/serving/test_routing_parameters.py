"""Experiments and shelves in SSM Parameter Store: read again, the last valid ones while it is away or wrong, also after a start."""

import datetime as dt
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config

from recsys_platform.common.errors import RecsysError
from recsys_platform.config.factories import warehouse_of
from recsys_platform.config.settings import Settings, load_settings
from recsys_platform.experiments.canary import Status
from recsys_platform.experiments.lifecycle import apply_edit, ramp, stop
from recsys_platform.recommender.lists.list_rules import parse_list_rules
from recsys_platform.serving import routing_files, routing_parameters
from recsys_platform.serving.following import Follower
from recsys_platform.serving.rollout.record import CanaryRecord, record_text
from recsys_platform.serving.rollout.store import ChangedMeanwhileError, state_store_of
from recsys_platform.serving.routing_files import CanaryFile, ExperimentsFile, experiments_of, routing_of
from recsys_platform.serving.routing_parameters import ParameterStore
from tests.support.pace import wait_until
from tests.support.serving_world import Running, ServingWorld, make_world

PATH = "/recsys/routing"
EXPERIMENT = "trial: {variants: {new: {model: '%s', weight: 100}}, surfaces: [home]}"


@pytest.fixture(autouse=True)
def always_asked(aws: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The store is asked with each refresh, and is empty again after the test."""
    monkeypatch.setattr(routing_files.Stored.__init__, "__defaults__", (0.0,))
    monkeypatch.setattr(routing_files, "CANARY_SECONDS", 0.0)
    patient = routing_parameters._CONFIG.merge(Config(read_timeout=30))  # the server of a busy machine takes long
    monkeypatch.setattr(routing_parameters, "_CONFIG", patient)
    yield
    httpx.post(f"{aws}/moto-api/reset")


def keep(name: str, text: str) -> None:
    boto3.client("ssm").put_parameter(Name=f"{PATH}/{name}", Value=text, Type="String", Overwrite=True)


class Switched:
    """Parameter Store, or nobody while it is away."""

    def __init__(self) -> None:
        self.store, self.is_away = ParameterStore(PATH), False

    def text_of(self, name: str) -> str | None:
        if self.is_away:
            raise RecsysError("Cannot read: nobody answers.")
        return self.store.text_of(name)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"RECSYS_HOME": str(tmp_path), "RECSYS_ROUTING_PARAMETERS": PATH})


def test_what_the_store_has_is_read_again_and_what_it_has_not_is_the_file_of_the_world(settings: Settings) -> None:
    routing = routing_of(settings)
    routing.refresh()
    assert (routing.error, routing.models(), len(routing.shelves)) == (None, ("production",), 3)
    keep("experiments.yaml", EXPERIMENT % "17")
    keep("shelves.yaml", "best: {source: popular, title: Best}")
    keep("shadow.yaml", "{model: challenger, share: 0.1}")
    routing.refresh()
    assert routing.models() == ("production", "17", "challenger")
    assert [each.name for each in routing.shelves] == ["best"]
    keep("shelves.yaml", "best: {source: magic, title: Best}")
    routing.refresh()
    assert [each.source for each in routing.shelves] == ["popular"]
    assert "shelves.yaml in the store: best, source" in (routing.error or "")


def test_a_gateway_that_starts_while_the_store_is_away_has_what_was_valid_last(settings: Settings) -> None:
    keep("experiments.yaml", EXPERIMENT % "17")
    keep("shelves.yaml", "best: {source: popular, title: Best}")
    routing_of(settings).refresh()
    store = Switched()
    store.is_away = True
    started = routing_of(settings, store)
    started.refresh()
    assert started.models() == ("production", "17")
    assert [each.name for each in started.shelves] == ["best"]
    assert "nobody answers" in (started.error or "")
    boto3.client("ssm").delete_parameter(Name=f"{PATH}/experiments.yaml")
    store.is_away = False
    started.refresh()
    assert (started.models(), started.error) == (("production",), None)  # it was taken away: that is no failure


def test_an_address_where_nobody_answers_is_told_in_a_sentence(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    routing = routing_of(settings)
    routing.refresh()
    assert "Cannot read /recsys/routing/experiments.yaml" in (routing.error or "")
    assert len(routing.shelves) == 3


CANARY = CanaryRecord("canary_als_v4", "4", "als-v4", "r", "b", *[dt.datetime(2026, 11, 22, tzinfo=dt.UTC)] * 3, 100, 0)


def test_the_state_of_a_canary_is_a_parameter_that_every_gateway_reads(settings: Settings) -> None:
    state, routing = state_store_of(settings), routing_of(settings)
    assert state.read() is None
    state.write(CANARY, None)
    routing.refresh()
    assert (routing.route("u1", "home").model, routing.models()) == ("4", ("production", "4"))
    stopped = replace(CANARY, percent=0, status=Status.STOPPED, revision=2)
    with pytest.raises(ChangedMeanwhileError, match="was changed by somebody else"):
        state.write(stopped, None)
    state.write(stopped, CANARY)
    routing.refresh()
    assert (routing.route("u1", "home").model, routing.models()) == ("production", ("production",))
    assert not CanaryFile(settings).path.exists()
    assert routing_of(settings, Switched()).route("u1", "home").model == "production"


def test_who_writes_between_two_others_is_put_back(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    state = state_store_of(settings)
    state.write(CANARY, None)
    by_a_person = replace(CANARY, percent=0, status=Status.STOPPED, revision=2)
    put_text = ParameterStore.put_text

    def somebody_is_faster(store: ParameterStore, name: str, text: str) -> int:
        put_text(store, name, record_text(by_a_person))
        monkeypatch.setattr(ParameterStore, "put_text", nobody_answers_once)
        return put_text(store, name, text)

    def nobody_answers_once(store: ParameterStore, name: str, text: str) -> int:
        monkeypatch.setattr(ParameterStore, "put_text", put_text)
        raise RecsysError("Cannot write: nobody answers.")

    monkeypatch.setattr("recsys_platform.serving.rollout.store.PUT_BACK_SECONDS", 0.01)

    monkeypatch.setattr(ParameterStore, "put_text", somebody_is_faster)
    with pytest.raises(ChangedMeanwhileError):
        state.write(replace(CANARY, reason="held: 3 of 1000 requests", revision=2), CANARY)
    assert state.read() == by_a_person


@pytest.fixture
def world(tmp_path: Path) -> ServingWorld:
    made = make_world(tmp_path)
    made.publish(parse_list_rules({}))
    return made


@pytest.mark.slow
def test_a_store_that_is_away_or_wrong_under_load_changes_no_answer(
    settings: Settings, world: ServingWorld, run_gateway: Any
) -> None:
    store, version = Switched(), world.versions["als"]
    keep("experiments.yaml", EXPERIMENT % version)
    routing = routing_of(settings, store)
    api: Running = run_gateway(world, follower=Follower(world.home, world.registry, routing))
    found, stop = Counter[tuple[Any, ...]](), threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=api.url, headers=api.client.headers, timeout=30) as client:
            number = 0
            while not stop.is_set():
                number += 1
                params: dict[str, Any] = {"surface": "home", "k": 1 + number % 9}
                got = client.get(f"/v1/users/u{number % 14:02d}/recommendations", params=params)
                answer = got.json()
                found[got.status_code, answer["source"], answer["model"], answer["variant"]] += 1

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for turn in range(12):
        store.is_away = turn % 3 == 0
        keep("experiments.yaml", "trial: [" if turn % 3 == 1 else EXPERIMENT % version)
        keep("shelves.yaml", "[]" if turn % 3 == 1 else "best: {source: popular, title: Best}")
        api.gateway.follower.refresh()
        assert (api.gateway.follower.error is None) == (turn % 3 == 2)
        assert api.gateway.follower.routing.route("u01", "home").model == version
        wait_until(lambda: found.total() > 5 * turn, what="requests are answered")  # noqa: B023
    stop.set()
    for thread in threads:
        thread.join()
    assert set(found) == {(200, "live", "als", "new")}
    assert found.total() > 50


def test_a_command_that_changes_an_experiment_changes_the_parameter_and_gateways_follow(settings: Settings) -> None:
    own = settings.config_folder / "experiments.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(
        "# ask ann\ntrial: {variants: {new: {model: '17', weight: 10}}, surfaces: [home]}\n", encoding="utf-8"
    )
    file, now = ExperimentsFile(settings), dt.datetime(2026, 11, 29, tzinfo=dt.UTC)
    edit = ramp(file.read(), "trial", ["20"], models={"17"}, where=file.where)
    apply_edit(edit, file, warehouse_of(settings), who="ann", why="it is time", now=now)
    assert "# ask ann" in (ParameterStore(PATH).text_of("experiments.yaml") or "")
    assert "weight: 10" in own.read_text(encoding="utf-8")  # the parameter counts
    (found,) = experiments_of(settings)
    assert found.variants[0].weight == 20
    assert not stop(file.read(), "trial", now=now).after.is_running
