"""The audit of experiments, `ops.experiment_changes`: who changed what, when and why; and what an experiment was at any time.

Belongs here: the rows, the states of an experiment over time, its weights by day, the table of ranges. Does not: changing an
experiment (lifecycle.py).
"""

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any, Literal
from uuid import NAMESPACE_OID, uuid4, uuid5

import pyarrow as pa

from recsys_platform.common.clock import to_naive_utc, utc_now
from recsys_platform.experiments.assignment import HOLDOUT, Experiment, Experiments, Holdout
from recsys_platform.experiments.buckets import parse_ranges, text_of
from recsys_platform.warehouse.port import Warehouse

CHANGES, RANGES = "ops.experiment_changes", "ops.experiment_ranges"
Action = Literal["started", "stopped", "ramped", "changed"]
"""`changed`: of the holdout, which is audited like an experiment of one variant."""
UNKNOWN = "unknown"
_FILE_FOLLOWS = dt.timedelta(minutes=10)
_BY_HAND = "Found in the file: no command changed it."
_READ = f"""
    select change_id, changed_at, changed_by, experiment, action, reason, state_before, state_after
    from {CHANGES} order by changed_at, change_id"""
_IS_THERE = """
    select count(*) as tables from information_schema.tables
    where lower(table_schema) = 'ops' and lower(table_name) = 'experiment_changes'"""


@dataclass(frozen=True)
class VariantState:
    """What may change of a variant, and its model. `buckets`: those that it owns, such as `0-999`, whether the file says so or not."""

    model: str
    weight: float
    buckets: str


@dataclass(frozen=True)
class State:
    """An experiment as it was at some time. `salt`: of its buckets."""

    status: str
    salt: str
    variants: Mapping[str, VariantState]

    @property
    def weights(self) -> dict[str, float]:
        """The weights by variant, in percent; nothing while the experiment has no visitors."""
        return {name: each.weight if self.is_running else 0.0 for name, each in self.variants.items()}

    @property
    def is_running(self) -> bool:
        """Whether it had visitors."""
        return self.status == "running"


@dataclass(frozen=True)
class Change:
    """One change of an experiment. `at`: UTC, naive. `before`: None if nothing is known of it."""

    change_id: str
    at: dt.datetime
    who: str
    experiment: str
    action: Action
    why: str
    before: State | None
    after: State


@dataclass(frozen=True)
class Period:
    """A time in which an experiment did not change; `since` and `until` are None where no change is known."""

    since: dt.datetime | None
    until: dt.datetime | None
    state: State


def state_of(experiment: Experiment) -> State:
    """The state of an experiment as its file has it."""
    owned = {
        index: text_of((start, end) for owner, start, end in experiment.ranges if owner == index)
        for index in range(len(experiment.variants))
    }
    variants = {
        each.name: VariantState(each.model, each.weight, owned[index]) for index, each in enumerate(experiment.variants)
    }
    return State(experiment.status, experiment.bucket_salt, variants)


def store_change(warehouse: Warehouse, change: Change) -> None:
    """Add a change to the audit."""
    row = {
        "change_id": change.change_id,
        "changed_at": change.at,
        "changed_by": change.who,
        "experiment": change.experiment,
        "action": change.action,
        "reason": change.why,
        "state_before": json.dumps(asdict(change.before)) if change.before else None,
        "state_after": json.dumps(asdict(change.after)),
    }
    table = pa.Table.from_pylist([row], schema=_CHANGES_SCHEMA)
    warehouse.replace_rows(CHANGES, table, key="change_id", values=[change.change_id])


def remove_change(warehouse: Warehouse, change: Change) -> None:
    """Take back a change that did not come about."""
    warehouse.replace_rows(CHANGES, None, key="change_id", values=[change.change_id])


def changes_in(warehouse: Warehouse) -> list[Change]:
    """All changes, oldest first; none in a warehouse of an earlier release."""
    if not warehouse.frame(_IS_THERE)["tables"][0].as_py():
        return []
    return [_change_of(row) for row in warehouse.frame(_READ).to_pylist()]


def _change_of(row: Mapping[str, Any]) -> Change:
    return Change(
        change_id=row["change_id"],
        at=row["changed_at"],
        who=row["changed_by"],
        experiment=row["experiment"],
        action=row["action"],
        why=row["reason"],
        before=_state_in(row["state_before"]) if row["state_before"] else None,
        after=_state_in(row["state_after"]),
    )


def _state_in(text: str) -> State:
    content = json.loads(text)
    variants = {name: VariantState(**each) for name, each in content["variants"].items()}
    return State(content["status"], content["salt"], variants)


def audited_changes(warehouse: Warehouse, experiments: Experiments, now: dt.datetime | None = None) -> list[Change]:
    """All changes, oldest first; stops and another holdout that the file has and the audit lacks are added to it."""
    changes = changes_in(warehouse)
    missing = [found for each in experiments if (found := missing_stop(each, changes))]
    missing += filter(None, [missing_holdout(experiments.holdout, changes, to_naive_utc(now or utc_now()))])
    for each in missing:
        store_change(warehouse, each)
    return changes_in(warehouse) if missing else changes


def missing_stop(experiment: Experiment, changes: Iterable[Change]) -> Change | None:
    """The stop that stands in the file alone, since it does not wait for a warehouse that is held; None if there is none."""
    own = [each for each in changes if each.experiment == experiment.name]
    if experiment.status != "stopped" or not experiment.stopped_at or not own or own[-1].after.status == "stopped":
        return None
    at = max(to_naive_utc(experiment.stopped_at), own[-1].at)
    why = "Not recorded when it was stopped: the warehouse was held."
    last = own[-1].after
    return Change(stop_id(experiment), at, UNKNOWN, experiment.name, "stopped", why, last, state_of(experiment))


def missing_holdout(holdout: Holdout | None, changes: Iterable[Change], now: dt.datetime) -> Change | None:
    """The change of the holdout that stands in the file alone, as found now; None if there is none.

    A command writes to the audit first, so that for some minutes after a change the file may have been read before it.
    """
    own = [each for each in changes if each.experiment == HOLDOUT]
    before = own[-1].after if own else None
    after = holdout_state(holdout, before)
    if after is None or after == before or (own and after == own[-1].before and now - own[-1].at < _FILE_FOLLOWS):
        return None
    return Change(uuid4().hex, now, UNKNOWN, HOLDOUT, "changed", _BY_HAND, before, after)


def holdout_state(holdout: Holdout | None, before: State | None) -> State | None:
    """The state of a holdout; without one that of before, stopped, and None if there never was one."""
    if holdout is not None:
        return state_of(holdout.as_experiment)
    return replace(before, status="stopped") if before else None


def stop_id(experiment: Experiment) -> str:
    """The id of the change that stopped an experiment, the same whoever records it."""
    return uuid5(NAMESPACE_OID, f"{experiment.name} stopped {experiment.stopped_at}").hex


def periods_of(experiment: Experiment, changes: Iterable[Change]) -> list[Period]:
    """Return what an experiment was from when to when, oldest first; the last state is that of its file.

    What was edited by hand has no time: it counts from the last change on.
    """
    own = [each for each in changes if each.experiment == experiment.name]
    if missing := missing_stop(experiment, own):
        own.append(missing)
    states = [own[0].before if own else None, *(each.after for each in own)]
    times = [None, *(each.at for each in own), None]
    states[-1] = state_of(experiment)
    return [Period(since, until, state) for state, (since, until) in zip(states, pairwise(times), strict=True) if state]


def store_ranges(warehouse: Warehouse, experiments: Experiments, changes: Sequence[Change]) -> None:
    """Write the buckets of all variants, over time, where SQL reads them."""
    rows = [row for each in experiments for row in _range_rows(each, changes)]
    rows += _rows_of_periods(HOLDOUT, holdout_periods(experiments.holdout, changes))
    table = pa.Table.from_pylist(rows, schema=_RANGES_SCHEMA) if rows else None
    known = warehouse.frame(f"select distinct experiment from {RANGES}")["experiment"].to_pylist()
    warehouse.replace_rows(
        RANGES, table, key="experiment", values=[*known, *(each.name for each in experiments), HOLDOUT]
    )


def holdout_periods(holdout: Holdout | None, changes: Iterable[Change]) -> list[Period]:
    """Return what the holdout was from when to when, oldest first. One that was there before it was first seen has no beginning."""
    own = [each for each in changes if each.experiment == HOLDOUT]
    if not own:
        return [Period(None, None, state)] if (state := holdout_state(holdout, None)) else []
    is_older = own[0].before is None and own[0].who == UNKNOWN
    times = [None if is_older else own[0].at, *(each.at for each in own[1:]), None]
    first = [Period(None, own[0].at, own[0].before)] if own[0].before else []
    return first + [Period(since, until, each.after) for each, (since, until) in zip(own, pairwise(times), strict=True)]


def _range_rows(experiment: Experiment, changes: Sequence[Change]) -> Iterator[dict[str, Any]]:
    return _rows_of_periods(experiment.name, periods_of(experiment, changes))


def _rows_of_periods(name: str, periods: Iterable[Period]) -> Iterator[dict[str, Any]]:
    for period in periods:
        if period.state.is_running:
            for variant_name, variant in period.state.variants.items():
                for start, end in parse_ranges(variant.buckets):
                    yield {
                        "experiment": name,
                        "variant": variant_name,
                        "salt": period.state.salt,
                        "first_bucket": start,
                        "last_bucket": end - 1,
                        "valid_from": period.since,
                        "valid_to": period.until,
                    }


_CHANGES_SCHEMA = pa.schema(
    [
        ("change_id", pa.string()),
        ("changed_at", pa.timestamp("us")),
        ("changed_by", pa.string()),
        ("experiment", pa.string()),
        ("action", pa.string()),
        ("reason", pa.string()),
        ("state_before", pa.string()),
        ("state_after", pa.string()),
    ]
)
_RANGES_SCHEMA = pa.schema(
    [
        ("experiment", pa.string()),
        ("variant", pa.string()),
        ("salt", pa.string()),
        ("first_bucket", pa.int32()),
        ("last_bucket", pa.int32()),
        ("valid_from", pa.timestamp("us")),
        ("valid_to", pa.timestamp("us")),
    ]
)
