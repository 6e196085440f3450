"""A world in which the closed loop runs, and the doors to it: its files, the pipeline, the API.

Belongs here: what an act does to a world. Does not: the order of acts (driver.py).
"""

import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from recsys_platform.closed_loop.api import served_over_http
from recsys_platform.closed_loop.plan import HABITS, HISTORY_DAYS, LoopPlan, Week
from recsys_platform.common.errors import RecsysError
from recsys_platform.common.processes import current_user
from recsys_platform.common.strict_yaml import parse_yaml
from recsys_platform.config.factories import hub_of, prepare_home, registry_of, warehouse_of
from recsys_platform.config.settings import Settings
from recsys_platform.config.world_files import DEFAULTS, EXPERIMENTS, VARIANTS
from recsys_platform.experiments import lifecycle
from recsys_platform.pipeline import Refreshed, export, ingest, publish_for_gateways, refresh, transform
from recsys_platform.recommender.data.training_data import latest_dataset
from recsys_platform.recommender.registry.promotion import promote
from recsys_platform.recommender.registry.versions import CHALLENGER, PRODUCTION, Registry
from recsys_platform.serving.gateway.simulated_clock import waiting_days
from recsys_platform.serving.routing_files import ExperimentsFile
from recsys_platform.simulation.reader_app import Ask, ReaderApp
from recsys_platform.simulation.server import running_server
from recsys_platform.simulation.simulate import simulate
from recsys_platform.simulation.truth import load_spec
from recsys_platform.simulation.visiting import readers_of, visit_days

LANDING_SECONDS = 120.0
_WAITING = (".new", ".open", ".ready")
"""Files of events that are not delivered yet."""
Tell = Callable[[str, int, int], None]
"""Called with what is done now, how much of it is done, and of how much."""


@dataclass(frozen=True)
class LoopWorld:
    """The world of a loop. `tell`: hears of progress."""

    settings: Settings
    plan: LoopPlan
    tell: Tell

    @property
    def log(self) -> Path:
        """The file for what the API prints."""
        return self.settings.home / "loop.log"

    @property
    def registry(self) -> Registry:
        """The model registry."""
        return registry_of(self.settings)

    def land_history(self) -> None:
        """Land the events of trackers on the days before there are recommendations, unless they were landed before."""
        plan = self.plan
        if (self.settings.truth_root / "world.json").exists():
            return
        simulate(
            hub_of(self.settings),
            readers=plan.readers,
            books=plan.books,
            days=HISTORY_DAYS,
            seed=plan.seed,
            end=plan.day(HISTORY_DAYS - 1),
            truth_dir=self.settings.truth_root,
            horizon=plan.days,
            progress=lambda done, total: self.tell("trackers", done, total),
        )

    def visit(self, week: Week) -> None:
        """Let the readers use the API over HTTP on the days of a week that are not over yet."""
        _, done = load_spec(self.settings.truth_root)
        days = range(max(done, week.days.start), week.days.stop)
        if not days and not any(waiting_days(self.settings.serving_root / "spool").glob("*/*")):
            return
        with self.api() as ask:
            readers = readers_of(self.settings.truth_root, ReaderApp(ask), days=self.plan.days, habits=HABITS)
            visit_days(readers, self.settings.truth_root, days, progress=lambda *so_far: self.tell(week.name, *so_far))

    def api(self) -> AbstractContextManager[Ask]:
        """The API in a process of its own while a block runs; yields what sends requests to it."""
        return served_over_http(self.settings, self.log)

    def wait_for_landing(self, folder: str) -> None:
        """Wait until the events in a folder of the API are in the hub. Raises RecsysError if that takes too long."""
        until = time.monotonic() + LANDING_SECONDS
        while any(path.suffix in _WAITING for path in (self.settings.serving_root / folder).rglob("*")):
            if time.monotonic() > until:
                raise RecsysError(f"The API does not deliver its events: {self.log} has what it printed.")
            time.sleep(0.2)

    def load(self, select: Sequence[str] = ()) -> None:
        """Load what happened and build the marts, without training. `select`: selectors of dbt, for some marts only."""
        with self._with_attributes() as settings:
            prepare_home(settings)
            ingest(settings, hub_of(settings), warehouse_of(settings))
            transform(settings, warehouse_of(settings), select)

    def publish(self) -> None:
        """Publish the lists of the models that have a role now, without training."""
        publish_for_gateways(self.settings, hub_of(self.settings), warehouse_of(self.settings), self.registry)

    def finish(self) -> None:
        """Bring all marts, what is published and the copies for readers up to what happened last."""
        self.load()
        self.publish()
        export(self.settings, hub_of(self.settings), warehouse_of(self.settings))

    def refresh(self, variants: Sequence[str]) -> Refreshed:
        """Load what happened, train these variants of the package, let the gate decide, and publish."""
        content = parse_yaml((DEFAULTS / VARIANTS).read_text(encoding="utf-8"))
        self.write_config(VARIANTS, {name: content[name] for name in variants})
        with self._with_attributes() as settings:
            return refresh(settings)

    def start_experiment(self, name: str, content: dict[str, Any], why: str, day: int) -> None:
        """Write an experiment as a draft, and start it on a day."""
        self.write_config(EXPERIMENTS, {name: content | {"status": "draft"}})
        file, models = ExperimentsFile(self.settings), {CHALLENGER, PRODUCTION}
        edit = lifecycle.start(file.read(), name, models=models, now=self.midnight(day), where=file.where)
        self._apply(edit, file, why, day)

    def stop_experiment(self, name: str, why: str, day: int) -> None:
        """Send all visitors of an experiment back to production, from a day on."""
        file = ExperimentsFile(self.settings)
        self._apply(lifecycle.stop(file.read(), name, now=self.midnight(day), where=file.where), file, why, day)

    def midnight(self, day: int) -> dt.datetime:
        """When a day begins."""
        return dt.datetime.combine(self.plan.day(day), dt.time(), dt.UTC)

    def promote(self, version: str, alias: str, why: str, *, data_to: dt.date) -> None:
        """Give an alias to a version, as `recsys promote` does. `data_to`: the first day whose events the decision did not have."""
        books = latest_dataset(hub_of(self.settings)).catalogue_hash
        promote(self.registry, version, alias=alias, why=why, catalogue_hash=books, data_to=f"{data_to}T00:00:00")

    def hold_production(self, why: str, day: int) -> None:
        """Let the gate leave the recipe in production where it is, whatever it finds on the data until a day."""
        version = self.registry.version_of(PRODUCTION)
        if version:
            self.promote(version, PRODUCTION, why, data_to=self.plan.day(day))

    def variant_of(self, alias: str) -> str | None:
        """The variant that has an alias now."""
        version = self.registry.version_of(alias)
        return self.registry.info(version).variant if version else None

    def challenge(self, version: str, why: str, day: int) -> None:
        """Make a version the challenger."""
        self.promote(version, CHALLENGER, why, data_to=self.plan.day(day))

    def _apply(self, edit: lifecycle.Edit, file: ExperimentsFile, why: str, day: int) -> None:
        warehouse = warehouse_of(self.settings)
        lifecycle.apply_edit(edit, file, warehouse, who=current_user(), why=why, now=self.midnight(day))

    @contextmanager
    def _with_attributes(self) -> Iterator[Settings]:
        """The settings with endpoints that serve the readers and books as they are now."""
        with running_server(self.settings.truth_root) as url:
            yield self.settings.model_copy(update={"users_url": f"{url}/users", "books_url": f"{url}/books"})

    def write_config(self, name: str, content: dict[str, Any]) -> None:
        """Replace a file of the world's configuration folder."""
        folder = self.settings.config_folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
