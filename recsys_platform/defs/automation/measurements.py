"""Measure the platform: samples of what Dagster, the hub and the registry know.

Belongs here: the values of the metrics of monitoring/metrics.py. Does not: where they go (monitoring/), what somebody is told of
(problems.py).
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import dagster as dg

from recsys_platform.common.errors import RecsysError
from recsys_platform.defs.automation.check_status import completed_checks, severity_of
from recsys_platform.defs.automation.load_requests import LANDING_SENSOR, RAW_EVENTS, Cursor, Seen
from recsys_platform.defs.automation.outline import Outline
from recsys_platform.defs.automation.state import asset_ages
from recsys_platform.defs.training.aliases import BETTER, PROMOTION
from recsys_platform.hub.object_store import Hub
from recsys_platform.ingestion.arrivals import HOUR, silence_of_trackers
from recsys_platform.monitoring import metrics as of
from recsys_platform.monitoring.metrics import Sample
from recsys_platform.recommender.registry.versions import PRODUCTION, Registry

_LOOKED_WITHIN = dt.timedelta(minutes=10)
_MOST_RECORDS = 1_000
_ENDED = {
    "success": dg.DagsterRunStatus.SUCCESS,
    "failure": dg.DagsterRunStatus.FAILURE,
    "canceled": dg.DagsterRunStatus.CANCELED,
}
_OPEN = {"queued": dg.DagsterRunStatus.QUEUED, "started": dg.DagsterRunStatus.STARTED}


def measure(*sources: Callable[[], Iterator[Sample]]) -> tuple[list[Sample], list[str]]:
    """The samples of all sources, and a sentence for each that cannot be read: it keeps none of the others from being measured."""
    samples: list[Sample] = []
    errors = []
    for source in sources:
        try:
            samples += list(source())
        except RecsysError as error:
            errors.append(str(error))
    return samples, errors


def samples_of_instance(outline: Outline, instance: dg.DagsterInstance, now: dt.datetime) -> Iterator[Sample]:
    """Checks, freshness, runs, loads and the daemon. `now`: UTC with its time zone."""
    yield from _checks(outline, instance)
    yield from _freshness(outline, instance, now)
    yield from _open_runs(instance, now)
    yield from _ended_runs(instance, now)
    yield from _loads(instance, now)
    yield from _daemons(instance, now)


def samples_of_hub(hub: Hub, now: dt.datetime, longest: dt.timedelta) -> Iterator[Sample]:
    """How long trackers have been silent; `longest`: they may be so long."""
    found = silence_of_trackers(hub, now)
    for source, silence in found.items():
        yield Sample(of.LANDING_AGE, max(0.0, silence.total_seconds()), {"source": source})
    yield Sample(of.SILENT_TRACKERS, sum(silence >= longest for silence in found.values()))


def samples_of_loads(seen: Seen | None, now: dt.datetime) -> Iterator[Sample]:
    """What waits for its load; nothing if nobody has looked for a while, which an alarm takes for the worst."""
    if seen is None or now - seen.at > _LOOKED_WITHIN:
        return
    yield Sample(of.LOAD_WAITING, seen.waiting)
    yield Sample(of.LOAD_OLDEST, max(0.0, (now - seen.oldest - HOUR).total_seconds()) if seen.oldest else 0.0)


def seen_by_sensor(instance: dg.DagsterInstance) -> Seen | None:
    """What the last tick of the landing sensor saw."""
    states = (each for each in instance.all_instigator_state() if each.instigator_name == LANDING_SENSOR)
    cursors = (getattr(each.instigator_data, "cursor", None) for each in states)
    return next((Cursor.parse(cursor).seen for cursor in cursors if cursor), None)


def samples_of_registry(registry: Registry, now: dt.datetime) -> Iterator[Sample]:
    """The age of the model in production; nothing before there is one."""
    version = registry.version_of(PRODUCTION)
    if version is not None:
        created = registry.info(version).created_at.replace(tzinfo=dt.UTC)
        yield Sample(of.MODEL_AGE, (now - created).total_seconds())


def _checks(outline: Outline, instance: dg.DagsterInstance) -> Iterator[Sample]:
    records = completed_checks(instance, outline.checks())
    failed: Counter[str] = Counter()
    for record in records.values():
        if record.status.value == "FAILED":
            failed[severity_of(record).value.lower()] += 1
    for each in dg.AssetCheckSeverity:
        yield Sample(of.FAILED_CHECKS, failed[each.value.lower()], {"severity": each.value.lower()})
    verdict = records.get(dg.AssetCheckKey(PROMOTION, BETTER))
    if verdict and verdict.status.value in ("SUCCEEDED", "FAILED"):
        yield Sample(of.GATE, float(verdict.status.value == "SUCCEEDED"))


def _freshness(outline: Outline, instance: dg.DagsterInstance, now: dt.datetime) -> Iterator[Sample]:
    late = {name: age - most for name, age, most in asset_ages(outline, instance, now) if age > most}
    yield Sample(of.OVERDUE_ASSETS, len(late))
    for name, seconds in sorted(late.items()):
        yield Sample(of.OVERDUE, seconds, {"asset": name})


def _open_runs(instance: dg.DagsterInstance, now: dt.datetime) -> Iterator[Sample]:
    for name, status in _OPEN.items():
        yield Sample(of.OPEN_RUNS, instance.get_runs_count(dg.RunsFilter(statuses=[status])), {"status": name})
    queued = dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])
    oldest = instance.get_run_records(queued, limit=1, order_by="create_timestamp", ascending=True)
    created = [record.create_timestamp.astimezone(dt.UTC) for record in oldest]
    yield Sample(of.QUEUE_AGE, max([0.0, *((now - each).total_seconds() for each in created)]))


def _ended_runs(instance: dg.DagsterInstance, now: dt.datetime) -> Iterator[Sample]:
    since = now - dt.timedelta(seconds=of.WINDOW_SECONDS)
    filters = dg.RunsFilter(statuses=list(_ENDED.values()), updated_after=since)
    ended = [
        each
        for each in instance.get_run_records(filters, limit=_MOST_RECORDS)
        if (each.end_time or 0) > since.timestamp()
    ]
    counts = Counter(record.dagster_run.status for record in ended)
    for name, status in _ENDED.items():
        yield Sample(of.ENDED_RUNS, counts[status], {"status": name})
    durations = [each.end_time - each.start_time for each in ended if each.end_time and each.start_time]
    yield Sample(of.RUN_SECONDS, max([0.0, *durations]))


def _loads(instance: dg.DagsterInstance, now: dt.datetime) -> Iterator[Sample]:
    since = dg.AssetRecordsFilter(RAW_EVENTS, after_timestamp=now.timestamp() - of.WINDOW_SECONDS)
    records = instance.fetch_materializations(since, limit=_MOST_RECORDS).records
    # By run: one that loads several days records the same figures for each of them.
    loads = {record.run_id: record for record in records if _figure(record, "records") is not None}
    yield Sample(of.LOADED, sum(_figure(each, "records") or 0 for each in loads.values()))
    yield Sample(of.REJECTED, sum(_figure(each, "rejected") or 0 for each in loads.values()))


def _figure(record: dg.EventLogRecord, name: str) -> int | None:
    found = record.asset_materialization.metadata.get(name) if record.asset_materialization else None
    return found.value if isinstance(found, dg.IntMetadataValue) else None


def _daemons(instance: dg.DagsterInstance, now: dt.datetime) -> Iterator[Sample]:
    """A thread that never wrote a heartbeat is silent too. Dagster's own status waits for half an hour."""
    beats = {name: each.timestamp for name, each in instance.get_daemon_heartbeats().items()}
    required: Sequence[str] = instance.get_required_daemon_types()
    ages = {name: now.timestamp() - beats[name] for name in required if name in beats}
    silent = [name for name in required if ages.get(name, of.SILENT_AFTER_SECONDS) >= of.SILENT_AFTER_SECONDS]
    yield Sample(of.SILENT_DAEMONS, len(silent))
    for name, age in ages.items():
        yield Sample(of.HEARTBEAT_AGE, max(0.0, age), {"daemon": name.lower()})
