"""`recsys run`: bring everything up to date with the `refresh` job, on the world's own instance, in this process.

First new data is fetched and loaded, all days in one run; then every stale asset is materialized. Without new data nothing runs.
"""

import datetime as dt
import os
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import dagster as dg

from recsys_platform.common.clock import to_naive_utc, utc_today
from recsys_platform.common.errors import AttributesError, RecsysError
from recsys_platform.config.factories import endpoint_of, registry_of
from recsys_platform.config.settings import Settings
from recsys_platform.defs.automation.dead_runs import fail_dead_runs, failing_on_exit, reporting_slot_holder
from recsys_platform.defs.automation.failures import sentence_of_check, words_of_step
from recsys_platform.defs.automation.instances import LOCATION_TAGS, set_code_location
from recsys_platform.defs.automation.load_requests import RAW_EVENTS, REFRESH, observed
from recsys_platform.defs.automation.outline import Outline
from recsys_platform.defs.automation.staleness import failed_blocking, stale_assets
from recsys_platform.defs.partitions import MOST_RECORDED_DAYS, days_of_run, load_tags
from recsys_platform.defs.pools import OVER_BUDGET, PROCESS, REBUILD
from recsys_platform.defs.reports.cost_of_runs import require_budget_now
from recsys_platform.defs.reports.step_meter import measured_steps
from recsys_platform.defs.training.aliases import moved_aliases
from recsys_platform.hub.layout import Attributes
from recsys_platform.hub.object_store import Hub
from recsys_platform.hub.snapshots import snapshot_parts
from recsys_platform.ingestion.arrivals import all_arrivals, by_day, loaded_after, new_snapshots, unread_snapshots
from recsys_platform.sources.attributes import require_answer
from recsys_platform.warehouse.port import Warehouse
from recsys_platform.warehouse.salt import require_same_salt

TOGETHER = ({"staging", "intermediate", "marts"}, {"published"})
"""Layers that are always rebuilt together: one `dbt build`, one publication."""
KINDS: tuple[Attributes, ...] = ("user_attributes", "book_attributes")
Listener = Callable[[str, int, int], None]
"""Called with the current step, the number of assets materialized in this run, and the number of its assets."""


@dataclass(frozen=True)
class Step:
    """One Dagster run: its assets and its first and last day (None for unpartitioned assets).

    `is_required`: if it crashes, for instance because an endpoint does not answer, no other step runs.
    """

    what: str
    assets: tuple[dg.AssetKey, ...]
    days: tuple[dt.date, dt.date] | None = None
    is_required: bool = False

    @property
    def tags(self) -> dict[str, str]:
        """The run's tags for its days."""
        return load_tags(self.days) if self.days else {}


@dataclass
class RunReport:
    """The steps that ran, what they loaded, and a sentence for each failure and warning."""

    steps: list[Step] = field(default_factory=list)
    loaded: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("objects", "records", "accepted", "rejected"), 0)
    )
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def assets(self) -> int:
        """The number of materialized assets."""
        return sum(len(step.assets) for step in self.steps)


class Refresher:
    """Runs the steps of one world on one instance.

    The steps follow from the outline of the definitions. The definitions, which take seconds to load, are loaded by the first step.
    """

    def __init__(
        self,
        outline: Outline,
        load_definitions: Callable[[], dg.Definitions],
        settings: Settings,
        *,
        hub: Hub,
        warehouse: Warehouse,
        listener: Listener,
    ) -> None:
        self.outline = outline
        self.load_definitions = load_definitions
        self.settings = settings
        self.hub = hub
        self.warehouse = warehouse
        self.listener = listener
        self.report = RunReport()

    def run(self, instance: dg.DagsterInstance, *, everything: bool = False, over_budget: bool = False) -> RunReport:
        """Load new data, then materialize stale assets, or all of them with `everything`.

        If a feed fails, the others are still loaded, but nothing downstream is materialized. Raises `BudgetError` if to rebuild
        everything would exceed the budget that refuses it, unless a person decided to go `over_budget`.
        """
        fail_dead_runs(instance)
        self.warehouse.prepare()
        require_same_salt(self.warehouse.salt_fingerprint(), self.settings.plain_salt)
        tags = {REBUILD: "all"} if everything else {}
        if everything and over_budget:
            tags[OVER_BUDGET] = "yes"
        elif everything:
            self._ask_budget(instance)
        for step in self._load_steps(instance):
            if self._execute_step(instance, step, tags) and step.is_required:
                return self.report
        for step in () if self.report.failures else self._rebuild_steps(instance, everything):
            self._execute_step(instance, step, tags)
        return self.report

    def fetch(self, instance: dg.DagsterInstance) -> RunReport:
        """Fetch and load today's attributes from every endpoint in the settings, even if today's snapshot exists."""
        fail_dead_runs(instance)
        self.warehouse.prepare()
        for step in self._fetch_steps([kind for kind in KINDS if endpoint_of(self.settings, kind)]):
            self._execute_step(instance, step, {})
        return self.report

    def _ask_budget(self, instance: dg.DagsterInstance) -> None:
        warning = require_budget_now(instance, self.warehouse, self.settings)
        self.report.warnings += [warning] if warning else []

    def _load_steps(self, instance: dg.DagsterInstance) -> Iterator[Step]:
        yield from self._fetch_steps([kind for kind in KINDS if self._wants_fetch(kind)])
        for kind in KINDS:
            if days := new_snapshots(self.hub, self.warehouse, kind):
                yield Step(f"loading {kind}", (dg.AssetKey(["raw", kind]),), (days[0], days[-1]))
            self.report.warnings += unread_snapshots(self.hub, kind)
            yield from self._check_again(instance, dg.AssetKey(["raw", kind]))
        landed = all_arrivals(self.hub, self.warehouse)
        self.report.warnings += landed.warnings()
        found = by_day(landed.new)
        for day in list(found)[-MOST_RECORDED_DAYS:]:
            instance.report_runless_asset_event(observed(day, len(found[day])))
        days = sorted({*found, *self._loaded_but_unrecorded(instance)})
        if days:  # assets downstream of events are stale now: they follow in the same run
            follows = () if self.report.failures else self.outline.made_in_every_run
            what = "loading events and rebuilding" if follows else "loading events"
            yield Step(what, (RAW_EVENTS, *follows), (days[0], days[-1]))
        else:
            yield from self._check_again(instance, RAW_EVENTS)

    def _loaded_but_unrecorded(self, instance: dg.DagsterInstance) -> list[dt.date]:
        """Days that were loaded by a run that died before it recorded the materialization."""
        newest = instance.fetch_materializations(RAW_EVENTS, limit=1).records
        recorded_at = to_naive_utc(dt.datetime.fromtimestamp(newest[0].timestamp if newest else 0, dt.UTC))
        return loaded_after(self.warehouse, recorded_at)

    @cached_property
    def _refresh_job(self) -> dg.JobDefinition:
        self.listener("loading the asset graph", 0, 0)
        return self.load_definitions().resolve_job_def(REFRESH)

    def _check_again(self, instance: dg.DagsterInstance, key: dg.AssetKey) -> Iterator[Step]:
        """A step for the days whose blocking check failed in an earlier run: the data may have been fixed since."""
        if any(key in step.assets for step in self.report.steps):
            return
        run_id = failed_blocking(self.outline, instance).get(key)
        run = instance.get_run_by_id(run_id) if run_id else None
        days = days_of_run(run.tags) if run else None
        if days:
            yield Step("checking again", (key,), days)

    def _fetch_steps(self, kinds: Sequence[Attributes]) -> Iterator[Step]:
        keys = [dg.AssetKey([layer, kind]) for kind in kinds for layer in ("landing", "raw")]
        today = utc_today()
        if keys:
            yield Step("fetching today's attributes", tuple(keys), (today, today), is_required=True)

    def _wants_fetch(self, kind: Attributes) -> bool:
        """Whether there is an endpoint but no snapshot of today; warns if today's exists and the endpoint does not answer."""
        endpoint = endpoint_of(self.settings, kind)
        if endpoint is None or not snapshot_parts(self.hub, kind, utc_today()):
            return endpoint is not None
        try:
            require_answer(endpoint)
        except AttributesError as error:
            self.report.warnings.append(f"{error} Today's snapshot stays in use.")
        return False

    def _rebuild_steps(self, instance: dg.DagsterInstance, everything: bool) -> Iterator[Step]:
        """The step that materializes stale assets; evaluated after the loads have run."""
        moved = moved_aliases(instance, registry_of(self.settings))
        if moved:
            instance.report_runless_asset_event(moved)
        keys = self.outline.made_in_every_run
        is_done = any(set(keys) <= set(step.assets) for step in self.report.steps)
        stale = set(keys if everything and not is_done else stale_assets(self.outline, instance, keys))
        stale = with_downstream(self.outline, stale, keys)
        if stale:
            yield Step("rebuilding marts, models and published tables", tuple(sorted(stale)))

    def _execute_step(self, instance: dg.DagsterInstance, step: Step, tags: Mapping[str, str]) -> bool:
        """Run a step; returns whether it crashed, that is, failed for another reason than a check."""
        run_id = str(uuid.uuid4())
        done: set[str] = set()

        def on_event(entry: dg.EventLogEntry) -> None:
            event = entry.dagster_event
            if event and event.event_type == dg.DagsterEventType.RUN_START:
                set_code_location(instance, run_id)
            if event and event.event_type_value == "ASSET_MATERIALIZATION" and event.asset_key:
                done.add(event.asset_key.to_user_string())
            started = event.step_key if event and event.event_type_value == "STEP_START" else None
            message = entry.user_message if event is None else None
            self.listener(str(started or message or ""), len(done), len(step.assets))

        instance.add_event_listener(run_id, on_event)

        def on_wait(sentence: str) -> None:
            self.listener(sentence, len(done), len(step.assets))

        job = self._refresh_job
        measured = measured_steps(instance, run_id, self.settings.env)
        with reporting_slot_holder(instance, run_id, on_wait), failing_on_exit(instance, run_id), measured:
            result = job.execute_in_process(
                instance=instance,
                asset_selection=list(step.assets),
                run_id=run_id,
                tags={**step.tags, **tags, **LOCATION_TAGS, PROCESS: str(os.getpid())},
                raise_on_error=False,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
        return self._note_result(step, result)

    def _note_result(self, step: Step, result: dg.ExecuteInProcessResult) -> bool:
        self.report.steps.append(step)
        events = result.asset_materializations_for_node("raw__engagement_events") if RAW_EVENTS in step.assets else []
        figures = next((event.metadata for event in events if "objects" in event.metadata), None)
        for name in self.report.loaded if figures else ():  # every day of a run has the figures of the whole run
            self.report.loaded[name] += int(figures[name].value)  # type: ignore[index, arg-type]
        failed = [check for check in result.get_asset_check_evaluations() if not check.passed]
        severe = [check for check in failed if check.blocking and check.severity == dg.AssetCheckSeverity.ERROR]
        self.report.failures += map(sentence_of_check, severe)
        self.report.warnings += [sentence_of_check(check) for check in failed if check not in severe]
        crash = None if severe else next((event for event in result.all_events if event.is_step_failure), None)
        if crash:  # a failed check fails its step too, and was reported above
            self.report.failures.append(f"{crash.step_key}: {words_of_step(crash) or 'failed'}")
        return crash is not None


def with_downstream(
    outline: Outline, stale: Collection[dg.AssetKey], keys: Collection[dg.AssetKey]
) -> set[dg.AssetKey]:
    """The stale assets, the rest of the layers that are rebuilt together with them, and everything downstream, limited to `keys`."""
    found: set[dg.AssetKey] = set()
    wanted = set(stale)
    while wanted != found:
        found = set(wanted)
        layers = {name for group in TOGETHER if any(key.path[0] in group for key in found) for name in group}
        wanted |= {key for key in keys if key.path[0] in layers} | (outline.children(found) & set(keys))
    return found


def require_input(settings: Settings, hub: Hub) -> None:
    """Raise `RecsysError` if the hub has no data for a first run."""
    if not hub.folders("engagement_events"):
        raise RecsysError(
            f"There are no landing objects in {hub.where('')}: run `recsys simulate` or `recsys import`, or set RECSYS_HOME."
        )
    if settings.books_url is None and not hub.folders("book_attributes"):
        raise RecsysError(
            f"There is no book snapshot in {hub.where('')} and RECSYS_BOOKS_URL is not set: set it to the JSON endpoint of books."
        )
