"""The gateway of a world, and the server that runs it.

Belongs here: building the gateway from settings, and uvicorn. Does not: the API (api.py).
"""

import datetime as dt
import gc
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from recsys_platform.common.errors import InputError
from recsys_platform.common.pseudonyms import Pseudonyms
from recsys_platform.config.factories import hub_of, registry_of
from recsys_platform.config.settings import Settings
from recsys_platform.config.world_files import DESTINATIONS, world_file
from recsys_platform.serving.answer_counts import HOUR, STREAM, AnswerCounts
from recsys_platform.serving.connections import OPTIONS
from recsys_platform.serving.delivery import DeliveryQueue, Destination, QueueState, queue_state
from recsys_platform.serving.destinations.config import load_destinations, queues_of
from recsys_platform.serving.destinations.sending import in_batches
from recsys_platform.serving.exposures import LANDING, EventSpool, to_hub
from recsys_platform.serving.following import Follower
from recsys_platform.serving.gateway.access import Access
from recsys_platform.serving.gateway.api import app_of
from recsys_platform.serving.gateway.keys import KeyStore
from recsys_platform.serving.gateway.limits import Limits, parse_quotas
from recsys_platform.serving.gateway.metrics import Metrics
from recsys_platform.serving.gateway.metrics_port import metrics_server
from recsys_platform.serving.gateway.simulated_clock import (
    DailySpool,
    SimulatedClock,
    SimulatedCounts,
    SimulatedDays,
    simulated_now,
)
from recsys_platform.serving.gateway.state import Gateway
from recsys_platform.serving.gateway.tokens import Provider, Tokens
from recsys_platform.serving.gateway.workers import Workers
from recsys_platform.serving.logs import configure_logging
from recsys_platform.serving.model_hosts import DEADLINE_SECONDS, Host, HttpHost, ModelHosts
from recsys_platform.serving.recent_events import RecentEventsInMemory
from recsys_platform.serving.recent_events_redis import RecentEventsInRedis
from recsys_platform.serving.recommending import InProcess
from recsys_platform.serving.routing_files import routing_of
from recsys_platform.serving.shadow import SECONDS as SHADOW_SECONDS
from recsys_platform.serving.shadow import Shadow
from recsys_platform.serving.shared_redis import SharedRedis
from recsys_platform.serving.traced import TracedRedis
from recsys_platform.serving.tracing import Tracing

PORT = 8000
_OBJECTS_UNTIL_COLLECTION = 10_000
"""Answers leave hardly any garbage that needs a collection; with Python's 700, to look for it took a tenth of a cached one."""
_SAGEMAKER = "sagemaker://"
_OPTIONS = OPTIONS | {"log_config": None}
"""Uvicorn's records are written as ours are."""


def key_store_of(settings: Settings) -> KeyStore:
    """The API keys of a world."""
    return KeyStore(settings.serving_root / "keys", settings.env)


def tokens_of(settings: Settings) -> Tokens | None:
    """What checks bearer tokens; None without a provider."""
    if not (settings.oidc_issuer and settings.oidc_audience and settings.oidc_jwks_url):
        return None
    return Tokens(
        Provider(
            issuer=settings.oidc_issuer,
            audience=settings.oidc_audience,
            jwks_url=str(settings.oidc_jwks_url),
            roles_claim=settings.oidc_roles_claim,
            user_claim=settings.oidc_user_claim,
            default_roles=frozenset({"reader"}) if settings.oidc_default_role == "reader" else frozenset(),
        )
    )


def tracing_of(settings: Settings) -> Tracing | None:
    """What makes spans; None, and nothing imported, unless an endpoint for traces is set."""
    if not settings.sends_traces:
        return None
    from recsys_platform.serving.otel import OpenTelemetry

    return OpenTelemetry("recsys-gateway")


def shared_redis_of(settings: Settings, metrics: Metrics, tracing: Tracing | None = None) -> SharedRedis | None:
    """The Redis that gateways share; None without one."""
    if settings.redis_url is None:
        return None
    url, on_failure = settings.redis_url.get_secret_value(), metrics.failures.labels("redis").inc
    seconds = settings.redis_timeout_ms / 1000
    if tracing:
        return TracedRedis(url, on_failure, tracing, timeout_seconds=seconds)
    return SharedRedis(url, on_failure, timeout_seconds=seconds)


def host_at(url: str, tracing: Tracing | None = None, seconds: float = DEADLINE_SECONDS) -> Host:
    """The model host of an address: `http://…`, `https://…`, or `sagemaker://endpoint`, whose requests wait for some seconds."""
    if not url.startswith(_SAGEMAKER):
        return HttpHost(url, tracing.headers) if tracing else HttpHost(url)
    from recsys_platform.serving.sagemaker.runtime import SageMakerHost  # imports boto3

    return SageMakerHost(url.removeprefix(_SAGEMAKER), seconds)


def landing_of(settings: Settings, stream: str = "gateway") -> Destination:
    """Where events land: the hub, or a stream that delivers into it. `stream`: what names of objects in the hub begin with."""
    if settings.event_stream is None:
        return to_hub(hub_of(settings), stream)
    from recsys_platform.serving.destinations.streams import Firehose, Kinesis  # imports boto3

    kind, _, name = settings.event_stream.partition("://")
    return in_batches(Firehose(name) if kind == "firehose" else Kinesis(name))


def destination_queues_of(settings: Settings) -> list[DeliveryQueue]:
    """The queues of the receivers of events that the world's `destinations.yaml` names."""
    configured = load_destinations(world_file(settings, DESTINATIONS))
    return queues_of(configured, spool_folder_of(settings), os.environ)


def spool_folder_of(settings: Settings) -> Path:
    """The folder of events that are not delivered yet."""
    return settings.serving_root / "spool"


def queue_states(settings: Settings) -> dict[str, QueueState]:
    """What waits for the landing and each destination, by name; also for those that are not configured any more."""
    folder = spool_folder_of(settings)
    left = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    configured = load_destinations(world_file(settings, DESTINATIONS))
    return {name: queue_state(folder / name) for name in dict.fromkeys((LANDING, *configured, *left))}


def gateway_of(settings: Settings, *, forwards: bool = True) -> Gateway:
    """The gateway of a world. `forwards`: whether events go to destinations beside the landing."""
    home, metrics = settings.serving_root, Metrics()
    tracing = tracing_of(settings)
    shared = shared_redis_of(settings, metrics, tracing)
    hosts = {url: host_at(url, tracing) for url in (settings.model_hosts or "").split()}
    routing = routing_of(settings)
    # Of its own: a shadow that fails must not keep anybody from the hosts that answer.
    shadows = (
        ModelHosts({url: host_at(url, seconds=SHADOW_SECONDS) for url in hosts}, SHADOW_SECONDS)
        if hosts
        else InProcess()
    )
    return Gateway(
        follower=Follower(home, registry_of(settings), routing, loads_models=not hosts),
        backend=ModelHosts(hosts) if hosts else None,
        recent=RecentEventsInRedis(shared) if shared else RecentEventsInMemory(),
        spool=EventSpool(
            spool_folder_of(settings),
            landing_of(settings),
            destinations=destination_queues_of(settings) if forwards else (),
        ),
        counts=AnswerCounts(EventSpool(home / "counts", landing_of(settings, STREAM)), salt=settings.plain_salt),
        limits=Limits(parse_quotas(settings.api_limits), shared),
        metrics=metrics,
        shared=shared,
        shadow=Shadow(lambda: routing.shadow, shadows, metrics.count_shadow),
        pseudonyms=Pseudonyms(settings.plain_salt),
        logged_share=settings.access_log,
        tracing=tracing,
        access=Access(key_store_of(settings), tokens_of(settings)),
        origins=tuple((settings.api_origins or "").split()),
    )


@dataclass(frozen=True)
class Ports:
    """Where a gateway listens. `metrics`: a second port with the metrics alone; None for none."""

    host: str
    port: int
    metrics: int | None = None


def with_simulated_clock(gateway: Gateway) -> ASGIApp:
    """The ASGI application of a gateway for simulated readers, who tell the time of each request."""
    spool = gateway.spool
    gateway.now = simulated_now
    gateway.spool = DailySpool(spool.folder, spool.deliver, now=simulated_now, destinations=spool.destinations)
    spools = [gateway.spool]
    if gateway.counts:
        own = gateway.counts.spool
        spools.append(DailySpool(own.folder, own.deliver, now=simulated_now))
        gateway.counts = SimulatedCounts(spools[-1], seconds=HOUR, salt=gateway.counts.salt)

    def begin_day(day: dt.date) -> None:
        if gateway.counts:
            gateway.counts.flush()  # of the day before, or of the one that is to begin again
        for each in spools:
            each.begin_day(day)

    return SimulatedClock(app_of(gateway), SimulatedDays(begin_day, gateway.access))


def serve(settings: Settings, ports: Ports, *, simulated_clock: bool = False) -> None:
    """Serve the API until a signal ends it; running requests are answered first. Raises InputError if the metrics' port is in use."""
    configure_logging(settings.form_of_logs)
    gateway = gateway_of(settings)
    app = with_simulated_clock(gateway) if simulated_clock else app_of(gateway)
    serve_metrics = metrics_server(gateway, ports.host, ports.metrics)
    gateway.follower.refresh()
    gc.collect()
    gc.freeze()  # a collection that looks at all that was loaded would stop answers for a tenth of a second
    gc.set_threshold(_OBJECTS_UNTIL_COLLECTION)
    serve_metrics()
    uvicorn.run(app, host=ports.host, port=ports.port, **_OPTIONS)


def check_workers(settings: Settings, workers: int) -> None:
    """Raise InputError unless so many workers can agree with each other."""
    if workers > 1 and settings.redis_url is None:
        raise InputError(
            f"--workers {workers} needs RECSYS_REDIS_URL, through which workers share recent events and limits: "
            "set it, or serve with one worker."
        )
    if workers > 1 and sys.platform != "linux":
        raise InputError("--workers needs Linux: elsewhere start several gateways, each on a port of its own.")


def serve_workers(settings: Settings, ports: Ports, workers: int) -> None:
    """Serve the API with several processes until a signal ends them; running requests are answered first."""
    configure_logging(settings.form_of_logs)
    gateway = gateway_of(settings)
    serve_metrics = metrics_server(gateway, ports.host, ports.metrics)
    gc.set_threshold(_OBJECTS_UNTIL_COLLECTION)

    def start() -> None:
        gateway.follower.reopen()
        serve_metrics()

    config = uvicorn.Config(app_of(gateway), host=ports.host, port=ports.port, **_OPTIONS)
    Workers(config, workers, before_start=gateway.follower.refresh, on_start=start).run()
