"""The days for which the landing sensor requests a load: those with unloaded objects, no load in progress and no recent failure.

Belongs here: backoff after failed loads, loads in progress, distributing days over runs.
Does not: which objects are unloaded (ingestion/arrivals.py).

A run key is never used twice: Dagster would ignore a repeated one, even after a failed run.
"""

import datetime as dt
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import dagster as dg

from recsys_platform.defs.partitions import PARTITION, days_of_run, load_tags

LANDING_EVENTS, RAW_EVENTS = dg.AssetKey(["landing", "engagement_events"]), dg.AssetKey(["raw", "engagement_events"])
REFRESH = "refresh"
"""The job of the whole pipeline."""
LANDING_SENSOR = "new_landing_objects"
RUN_KEY = "dagster/run_key"
ASKED_AT = "recsys/asked_at"
"""Tag of a fetch with the time of the tick that requested it."""
LONGEST_PAUSE = dt.timedelta(hours=1)
MOST_RUNS = 64
"""The most runs into which the days of a failing load are split, to isolate the day that fails."""
STUCK_AFTER = dt.timedelta(minutes=15)
"""A run that has not started after so long never will: the process that created it is gone."""
_NOT_YET = (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING)
_UNDER_WAY = (*_NOT_YET, dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)


@dataclass(frozen=True)
class Asked:
    """The last load requested for a day: its run key, its time, and the number of consecutive failures before it."""

    run_key: str
    at: dt.datetime
    failures: int = 0


@dataclass(frozen=True)
class Seen:
    """What a tick saw: its time, how many objects waited for their load, and the oldest recent landing hour of them (UTC)."""

    at: dt.datetime
    waiting: int
    oldest: dt.datetime | None


@dataclass
class Cursor:
    """The sensor's cursor: when the whole hub was last listed, the last request for each day, and what the last tick saw.

    What it saw is kept for the sensor `metrics`: to ask again would keep a warehouse of Snowflake awake.
    """

    listed_at: dt.datetime | None = None
    asked: dict[dt.date, Asked] = field(default_factory=dict)
    seen: Seen | None = None

    @classmethod
    def parse(cls, text: str | None) -> "Cursor":
        """Parse a cursor; a new one if there is none or it is from an earlier version."""
        try:
            held = json.loads(text or "{}")
            listed, asked, seen = held.get("listed_at"), held.get("asked", {}), held.get("seen")
            return cls(
                _parse_time(listed),
                {
                    dt.date.fromisoformat(day): Asked(key, dt.datetime.fromisoformat(at), failures)
                    for day, (key, at, failures) in asked.items()
                },
                Seen(dt.datetime.fromisoformat(seen[0]), seen[1], _parse_time(seen[2])) if seen else None,
            )
        except (ValueError, TypeError, AttributeError):
            return cls()

    def dump(self) -> str:
        """The cursor as text."""
        asked = {day.isoformat(): (a.run_key, a.at.isoformat(), a.failures) for day, a in sorted(self.asked.items())}
        seen = (self.seen.at, self.seen.waiting, self.seen.oldest) if self.seen else None
        return json.dumps({"listed_at": self.listed_at, "asked": asked, "seen": seen}, default=dt.datetime.isoformat)


def _parse_time(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None


def pause_after(failures: int) -> dt.timedelta:
    """The backoff after consecutive failures: 1, 2, 4 … minutes, at most an hour."""
    return min(dt.timedelta(minutes=2 ** min(failures - 1, 10)), LONGEST_PAUSE) if failures else dt.timedelta()


def load_requests(
    instance: dg.DagsterInstance, cursor: Cursor, waiting: Collection[dt.date], now: dt.datetime
) -> list[dg.RunRequest]:
    """Run requests for the days that are due. Updates the cursor: adds these days, drops days without unloaded objects."""
    under_way = list(spans_under_way(instance, now))
    cursor.asked = {day: asked for day, asked in cursor.asked.items() if day in waiting}
    failures = {
        day: _count_failures(instance, cursor.asked.get(day))
        for day in sorted(waiting)
        if not _is_in_spans(under_way, day)
    }
    due = [day for day, count in failures.items() if _is_due(cursor.asked.get(day), count, now)]
    requests = []
    for count in sorted({failures[day] for day in due}):
        for days in _split_days([day for day in due if failures[day] == count], count):
            requests.append(_run_request(days, now))
            asked = Asked(str(requests[-1].run_key), now, count)
            cursor.asked |= dict.fromkeys(days, asked)
    return requests


def spans_under_way(instance: dg.DagsterInstance, now: dt.datetime) -> Iterator[tuple[dt.date, dt.date]]:
    """The ranges of days that queued or running runs load."""
    for record in instance.get_run_records(dg.RunsFilter(statuses=list(_UNDER_WAY))):
        run = record.dagster_run
        is_stuck = run.status in _NOT_YET and now - record.create_timestamp.astimezone(dt.UTC) > STUCK_AFTER
        loads = RAW_EVENTS in run.asset_selection if run.asset_selection else run.job_name == REFRESH
        if loads and not is_stuck:
            yield days_of_run(run.tags) or (dt.date.min, dt.date.max)


def _is_in_spans(spans: Sequence[tuple[dt.date, dt.date]], day: dt.date) -> bool:
    return any(first <= day <= last for first, last in spans)


def _count_failures(instance: dg.DagsterInstance, asked: Asked | None) -> int:
    """The number of consecutive failed loads of a day. If the last load succeeded, the unloaded objects are newer than it."""
    if asked is None:
        return 0
    runs = instance.get_runs(dg.RunsFilter(tags={RUN_KEY: asked.run_key}), limit=1)
    return 0 if any(run.is_success for run in runs) else asked.failures + 1


def _is_due(asked: Asked | None, failures: int, now: dt.datetime) -> bool:
    return asked is None or now - asked.at >= pause_after(failures)


def _split_days(days: Sequence[dt.date], failures: int) -> Iterator[Sequence[dt.date]]:
    """Distribute days over runs: one run at first, twice as many after each failure, so that a bad day does not block the others."""
    size = -(-len(days) // min(2**failures, MOST_RUNS))
    return (days[start : start + size] for start in range(0, len(days), size))


def _run_request(days: Sequence[dt.date], now: dt.datetime) -> dg.RunRequest:
    if len(days) == 1:
        return dg.RunRequest(run_key=f"{days[0]} {now.isoformat()}", partition_key=days[0].isoformat())
    tags = load_tags(days)
    return dg.RunRequest(
        run_key=f"{days[0]} to {days[-1]} {now.isoformat()}", partition_key=tags.pop(PARTITION, None), tags=tags
    )


def fetch_request(instance: dg.DagsterInstance, job: str, now: dt.datetime) -> dg.RunRequest | dg.SkipReason:
    """A run request for today's attributes, unless they are fetched, a fetch is in progress, or one failed recently."""
    day = now.date().isoformat()
    runs = instance.get_runs(dg.RunsFilter(job_name=job, tags={PARTITION: day}))
    if any(run.is_success for run in runs):
        return dg.SkipReason(f"The attributes of {day} are already fetched.")
    failed = [run for run in runs if run.is_finished]
    last = max((run.tags.get(ASKED_AT, "") for run in failed), default="")
    if len(failed) < len(runs) or (last and now - dt.datetime.fromisoformat(last) < 10 * pause_after(len(failed))):
        return dg.SkipReason(f"The fetch of {day} is in progress, or failed and will be retried after a pause.")
    return dg.RunRequest(run_key=now.isoformat(), partition_key=day, tags={ASKED_AT: now.isoformat()})


def observed(day: dt.date, objects: int) -> dg.AssetMaterialization:
    """An event for a day's new landing objects: a materialization, since the freshness policy ignores observations."""
    return dg.AssetMaterialization(LANDING_EVENTS, partition=day.isoformat(), metadata={"new_objects": objects})
