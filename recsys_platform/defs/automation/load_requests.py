"""Which days the landing sensor asks a load for: those that wait, are not being loaded, and did not fail a moment ago.

Belongs here: the pauses after failed loads, what is under way, how days are put into runs.
Does not: what waits (warehouse/arrivals.py).

A run key is never asked for twice: Dagster would remember that of a failed run for ever.
"""

import datetime as dt
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import dagster as dg

from recsys_platform.defs.partitions import PARTITION, days_of_run, load_tags

LANDING_EVENTS, RAW_EVENTS = dg.AssetKey(["landing", "engagement_events"]), dg.AssetKey(["raw", "engagement_events"])
REFRESH = "refresh"
"""The job of the whole road."""
RUN_KEY = "dagster/run_key"
ASKED_AT = "recsys/asked_at"
"""Tag of a fetch with the tick that asked for it."""
LONGEST_PAUSE = dt.timedelta(hours=1)
MOST_RUNS = 64
"""Into how many runs the days of a failing load are split at most, to find the one that fails."""
STUCK_AFTER = dt.timedelta(minutes=15)
"""A run that was made and has not started by then never will: whoever made it is gone."""
_NOT_YET = (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING)
_UNDER_WAY = (*_NOT_YET, dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)


@dataclass(frozen=True)
class Asked:
    """The last load that was asked for a day: its run key, when, and how many in a row have failed before it."""

    run_key: str
    at: dt.datetime
    failures: int = 0


@dataclass
class Cursor:
    """What the sensor remembers from tick to tick: when the whole hub was listed, and the days it asked loads for."""

    listed_at: dt.datetime | None = None
    asked: dict[dt.date, Asked] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> "Cursor":
        """Read a cursor; a new one where there is none, or one of an earlier version."""
        try:
            held = json.loads(text or "{}")
            listed, asked = held.get("listed_at"), held.get("asked", {})
            return cls(
                dt.datetime.fromisoformat(listed) if listed else None,
                {
                    dt.date.fromisoformat(day): Asked(key, dt.datetime.fromisoformat(at), failures)
                    for day, (key, at, failures) in asked.items()
                },
            )
        except (ValueError, TypeError, AttributeError):
            return cls()

    def dump(self) -> str:
        """The cursor as text."""
        asked = {day.isoformat(): (a.run_key, a.at.isoformat(), a.failures) for day, a in sorted(self.asked.items())}
        return json.dumps({"listed_at": self.listed_at.isoformat() if self.listed_at else None, "asked": asked})


def pause_after(failures: int) -> dt.timedelta:
    """How long a load waits after so many failures in a row: 1, 2, 4 … minutes, an hour at most."""
    return min(dt.timedelta(minutes=2 ** min(failures - 1, 10)), LONGEST_PAUSE) if failures else dt.timedelta()


def load_requests(
    instance: dg.DagsterInstance, cursor: Cursor, waiting: Collection[dt.date], now: dt.datetime
) -> list[dg.RunRequest]:
    """Runs for the days that are due; the cursor remembers them, and forgets the days that wait no more."""
    under_way = list(spans_under_way(instance, now))
    cursor.asked = {day: asked for day, asked in cursor.asked.items() if day in waiting}
    failures = {day: _failures(instance, cursor.asked.get(day)) for day in sorted(waiting) if not _in(under_way, day)}
    due = [day for day, count in failures.items() if _is_due(cursor.asked.get(day), count, now)]
    requests = []
    for count in sorted({failures[day] for day in due}):
        for days in _split([day for day in due if failures[day] == count], count):
            requests.append(_request(days, now))
            asked = Asked(str(requests[-1].run_key), now, count)
            cursor.asked |= dict.fromkeys(days, asked)
    return requests


def spans_under_way(instance: dg.DagsterInstance, now: dt.datetime) -> Iterator[tuple[dt.date, dt.date]]:
    """The days that runs which are queued or running load, whoever asked for them."""
    for record in instance.get_run_records(dg.RunsFilter(statuses=list(_UNDER_WAY))):
        run = record.dagster_run
        is_stuck = run.status in _NOT_YET and now - record.create_timestamp.astimezone(dt.UTC) > STUCK_AFTER
        loads = RAW_EVENTS in run.asset_selection if run.asset_selection else run.job_name == REFRESH
        if loads and not is_stuck:
            yield days_of_run(run.tags) or (dt.date.min, dt.date.max)


def _in(spans: Sequence[tuple[dt.date, dt.date]], day: dt.date) -> bool:
    return any(first <= day <= last for first, last in spans)


def _failures(instance: dg.DagsterInstance, asked: Asked | None) -> int:
    """How many loads of a day have failed in a row; a day that waits although its load succeeded has newer objects."""
    if asked is None:
        return 0
    runs = instance.get_runs(dg.RunsFilter(tags={RUN_KEY: asked.run_key}), limit=1)
    return 0 if any(run.is_success for run in runs) else asked.failures + 1


def _is_due(asked: Asked | None, failures: int, now: dt.datetime) -> bool:
    return asked is None or now - asked.at >= pause_after(failures)


def _split(days: Sequence[dt.date], failures: int) -> Iterator[Sequence[dt.date]]:
    """One run for all days; after each failure in half as large ones, so that one bad day keeps no other out for long."""
    size = -(-len(days) // min(2**failures, MOST_RUNS))
    return (days[start : start + size] for start in range(0, len(days), size))


def _request(days: Sequence[dt.date], now: dt.datetime) -> dg.RunRequest:
    if len(days) == 1:
        return dg.RunRequest(run_key=f"{days[0]} {now.isoformat()}", partition_key=days[0].isoformat())
    tags = load_tags(days)
    return dg.RunRequest(
        run_key=f"{days[0]} to {days[-1]} {now.isoformat()}", partition_key=tags.pop(PARTITION, None), tags=tags
    )


def fetch_request(instance: dg.DagsterInstance, job: str, now: dt.datetime) -> dg.RunRequest | dg.SkipReason:
    """The fetch of today's attributes, unless it has succeeded, is under way, or failed a moment ago."""
    day = now.date().isoformat()
    runs = instance.get_runs(dg.RunsFilter(job_name=job, tags={PARTITION: day}))
    if any(run.is_success for run in runs):
        return dg.SkipReason(f"The attributes of {day} are fetched.")
    failed = [run for run in runs if run.is_finished]
    last = max((run.tags.get(ASKED_AT, "") for run in failed), default="")
    if len(failed) < len(runs) or (last and now - dt.datetime.fromisoformat(last) < 10 * pause_after(len(failed))):
        return dg.SkipReason(f"The fetch of {day} is under way, or failed and is asked for again after a pause.")
    return dg.RunRequest(run_key=now.isoformat(), partition_key=day, tags={ASKED_AT: now.isoformat()})


def observed(day: dt.date, objects: int) -> dg.AssetMaterialization:
    """That a day has some new landing objects; an observation would not count for the freshness policy."""
    return dg.AssetMaterialization(LANDING_EVENTS, partition=day.isoformat(), metadata={"new_objects": objects})
