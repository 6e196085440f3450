"""The sensor that sends lineage of runs to a collector of OpenLineage.

Belongs here: what happened in a run, by Dagster's event log and asset graph, and which runs are sent. Does not: events and their way
(monitoring/lineage.py). It runs beside the runs, so a collector that is away or slow keeps none of them waiting.
"""

import datetime as dt
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg

from recsys_platform.common.errors import RecsysError
from recsys_platform.config.settings import Settings
from recsys_platform.defs.automation.failures import words_of_step
from recsys_platform.defs.automation.outline import Outline, outline_of_repository
from recsys_platform.notifications.alerts import first_line

if TYPE_CHECKING:  # OpenLineage is an extra
    from openlineage.client.event_v2 import RunEvent

    from recsys_platform.monitoring.lineage import AssetRun, End, JobRun, Lineage

_LOG = logging.getLogger(__name__)
_ENDS: Mapping[dg.DagsterRunStatus, "End"] = {
    dg.DagsterRunStatus.SUCCESS: "COMPLETE",
    dg.DagsterRunStatus.FAILURE: "FAIL",
    dg.DagsterRunStatus.CANCELED: "ABORT",
}
_SENT = [dg.DagsterRunStatus.STARTED, *_ENDS]
_EVENTS = {
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.STEP_START,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.STEP_FAILURE,
}
_FIRST_LOOK = dt.timedelta(days=1)
_SETTLED = dt.timedelta(seconds=5)
"""A run that was updated just now may be stored after one that was updated later: it would be passed over."""
_RUNS, _TICK_SECONDS = 20, 30.0


@dataclass(frozen=True)
class Position:
    """All runs that were updated until `after` are sent, and of the next one, `run`, so many events."""

    after: dt.datetime
    run: str = ""
    sent: int = 0

    @classmethod
    def parse(cls, text: str | None, now: dt.datetime) -> "Position":
        """Parse a cursor; without one, the runs of the last day are sent."""
        if not text:
            return cls(now - _FIRST_LOOK)
        after, run, sent = json.loads(text)
        return cls(dt.datetime.fromisoformat(after), run, sent)

    def dump(self) -> str:
        """The position as text."""
        return json.dumps([self.after.isoformat(), self.run, self.sent])


def lineage_sensors(
    status: dg.DefaultSensorStatus, settings: Settings, clock: Callable[[], dt.datetime]
) -> list[dg.SensorDefinition]:
    """A sensor that sends START, COMPLETE, FAIL and ABORT of runs and their assets, each at least once; none without a collector."""
    if settings.openlineage_url is None:
        return []

    @dg.sensor(
        name="lineage",
        minimum_interval_seconds=30,
        default_status=status,
        description="Sends lineage of runs to the OpenLineage collector in RECSYS_OPENLINEAGE_URL.",
    )
    def lineage(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        if context.repository_def is None:
            return dg.SkipReason("There is no asset graph.")
        from recsys_platform.monitoring.lineage import Lineage

        sending = _Sending(Lineage(settings), settings, Position.parse(context.cursor, clock()))
        outline = outline_of_repository(context.repository_def)
        try:
            sending.send_runs(context.instance, outline, clock())
            said = ""
        except RecsysError as error:
            said = f" {error} It is tried again from there."
        context.update_cursor(sending.position.dump())
        left_out = f" {sending.refused} of them were refused and left out." if sending.refused else ""
        return dg.SkipReason(f"{sending.events} events.{left_out}{said}")

    return [lineage]


@dataclass
class _Sending:
    lineage: "Lineage"
    settings: Settings
    position: Position
    events: int = 0
    refused: int = 0
    until: float = field(default_factory=lambda: time.monotonic() + _TICK_SECONDS)

    def send_runs(self, instance: dg.DagsterInstance, outline: Outline, now: dt.datetime) -> None:
        """Send what was updated since the position, oldest first, until a tick's time is over."""
        filters = dg.RunsFilter(statuses=_SENT, updated_after=self.position.after, updated_before=now - _SETTLED)
        for record in instance.get_run_records(filters, _RUNS, order_by="update_timestamp", ascending=True):
            run = job_run(instance, outline, record, self.settings)
            if run is not None and not self._send(run):
                return
            self.position = Position(record.update_timestamp.astimezone(dt.UTC))

    def _send(self, run: "JobRun") -> bool:
        """Send the events of a run that are not sent yet; whether all are."""
        sent = self.position.sent if self.position.run == run.run_id else 0
        for event in list(self.lineage.events(run))[sent:]:
            if time.monotonic() > self.until:
                return False
            self._send_once(event)
            sent, self.events = sent + 1, self.events + 1
            self.position = Position(self.position.after, run.run_id, sent)
        return True

    def _send_once(self, event: "RunEvent") -> None:
        """Send an event, or leave it out if the collector will never take it: those behind it are not its fault."""
        from recsys_platform.monitoring.lineage import RefusedEventError

        try:
            self.lineage.send(event)
        except RefusedEventError as error:
            self.refused += 1
            _LOG.warning("%s The event of run %s is left out.", error, event.run.runId)


def job_run(
    instance: dg.DagsterInstance, outline: Outline, record: dg.RunRecord, settings: Settings
) -> "JobRun | None":
    """What happened in a run; None if it never started."""
    from recsys_platform.monitoring.lineage import JobRun

    run = record.dagster_run
    if record.start_time is None:
        return None
    started, end = dt.datetime.fromtimestamp(record.start_time, dt.UTC), _ENDS.get(run.status)
    if end is None or record.end_time is None:
        return JobRun(run.run_id, run.job_name, started)
    ended = dt.datetime.fromtimestamp(record.end_time, dt.UTC)
    happened = _Happened(ended)
    for entry in instance.all_logs(run.run_id, of_type=_EVENTS):
        happened.add(entry, settings)
    assets = tuple(happened.assets(outline))
    error = next((error for _, error in happened.failed.values()), "")
    return JobRun(run.run_id, run.job_name, started, ended, end, assets, error)


@dataclass
class _Happened:
    """Events of a run, by step and asset."""

    ended: dt.datetime
    planned: dict[str, str] = field(default_factory=dict)
    started: dict[str, dt.datetime] = field(default_factory=dict)
    made: dict[str, tuple[dt.datetime, dg.AssetMaterialization]] = field(default_factory=dict)
    failed: dict[str, tuple[dt.datetime, str]] = field(default_factory=dict)

    def add(self, entry: dg.EventLogEntry, settings: Settings) -> None:
        event, at = entry.get_dagster_event(), dt.datetime.fromtimestamp(entry.timestamp, dt.UTC)
        step = event.step_key or ""
        if event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED:
            self.planned[event.asset_materialization_planned_data.asset_key.to_user_string()] = step
        elif event.event_type is dg.DagsterEventType.STEP_START:
            self.started.setdefault(step, at)
        elif event.event_type is dg.DagsterEventType.STEP_FAILURE:
            self.failed[step] = (at, first_line(words_of_step(event), settings))
        else:
            made = event.step_materialization_data.materialization
            self.made[made.asset_key.to_user_string()] = (at, made)

    def assets(self, outline: Outline) -> Iterator["AssetRun"]:
        """The assets whose step started, parents first: made, or failed with their step or the whole run."""
        from recsys_platform.monitoring.lineage import AssetRun

        for each in outline.assets:
            started = self.started.get(self.planned.get(each.name, "\0"))
            if started is None:
                continue
            if each.name in self.made:
                at, made = self.made[each.name]
                yield AssetRun(each.name, each.parents, started, at, "COMPLETE", _rows(made), _columns(made))
            else:
                at, error = self.failed.get(self.planned[each.name], (self.ended, ""))
                yield AssetRun(each.name, each.parents, started, at, "FAIL", error=error)


def _rows(made: dg.AssetMaterialization) -> int | None:
    found: Any = made.metadata.get("dagster/row_count")
    return int(found.value) if found and found.value is not None else None


def _columns(made: dg.AssetMaterialization) -> list[tuple[str, str]]:
    found = made.metadata.get("dagster/column_schema")
    return (
        [(each.name, each.type) for each in found.schema.columns]
        if isinstance(found, dg.TableSchemaMetadataValue)
        else []
    )
