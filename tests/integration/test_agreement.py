"""Whatever a person changes: published lists, the page of the evaluation and the registry agree once it was followed.

By both roads: `recsys run`, and what the sensors and conditions of Dagster's UI ask for. Each step of the
latter is a process of its own, as after a restart of the daemon.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from rich.table import Table

from recsys_platform.config.factories import registry_of
from recsys_platform.config.settings import load_settings
from recsys_platform.config.world_files import LIST_RULES, VARIANTS
from recsys_platform.hub.layout import Attributes
from recsys_platform.hub.local import FolderHub
from recsys_platform.hub.snapshots import snapshot_days, snapshot_parts
from recsys_platform.recommender.registry.versions import ALIASES, PRODUCTION, Registry, VersionInfo
from recsys_platform.sources.attributes import store_snapshot
from recsys_platform.sources.snapshots import read_records
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support import automation_process
from tests.support.commands import said_by

# Whole runs on one whole world: which assets follow a change, and whether what they make agrees, shows in no part of it.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

COMMAND, AUTOMATION = "recsys run", "automation"
ROLES = "select role, model_version from published.model_roles where is_live or role <> 'baseline'"
LISTS = (
    "select distinct r.role, l.model_version from published.user_recommendations as l "
    "join published.model_roles as r using (model) where r.is_live or r.role <> 'baseline'"
)
CHOSEN_BY = "select chosen_by from published.model_roles where is_live"
MEASURED = "select distinct model from ops.model_evaluations qualify evaluated_at = max(evaluated_at) over ()"
FULLEST = """
    select max(n) from (
        select count(*) as n from published.user_recommendations
        join (select book_id, unnest(categories) as category from marts.dim_books) using (book_id)
        group by user_id, model, category)"""
TOLD = re.compile(r"<b>([\w-]+)</b> is (live|the challenger), chosen by (?:the|a) (gate|person)")


@dataclass(frozen=True)
class Found:
    """After a step: the version of each alias by what each place says, and who chose what is live."""

    step: str
    road: str
    registry: Mapping[str, str]
    model_roles: Mapping[str, str]
    lists: Mapping[str, str]
    page: Mapping[str, str]
    chosen_by: tuple[str, str]


class World:
    """A world and the road by which what a person changes is followed."""

    def __init__(self, home: Path, road: str) -> None:
        self.home, self.road = home, road
        self.settings = dict[str, str]()
        self.registry: Registry = registry_of(load_settings({"RECSYS_HOME": str(home)}))
        self.hub, self.steps = FolderHub(home / "hub"), list[Found]()

    def follow(self) -> bool:
        """Follow what was changed; whether anything was made."""
        if self.road.startswith("recsys"):
            code, said = said_by(*self.road.split()[1:], home=self.home, **self.settings)
            assert code == 0, said
            return "Nothing new: 0 objects loaded, no table changed" not in said
        return automation_process.follow(self.home, **self.settings) > 0

    def change_file(self, name: str, **entries: Any) -> None:
        """Change entries of a file of the world."""
        file = self.home / "config" / name
        file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | entries, sort_keys=False))

    def change_attributes(self, kind: Attributes, **values: Any) -> None:
        """A newer snapshot of the newest day, in which the first record has other values."""
        day = snapshot_days(self.hub, kind)[-1]
        [part] = snapshot_parts(self.hub, kind, day)
        first, *others = read_records(self.hub.get(part.key))
        store_snapshot(self.hub, kind, day, [first | values, *others])

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        rows = DuckDBWarehouse(self.home / "warehouse.duckdb").frame(sql).to_pylist()
        return [tuple(row.values()) for row in rows]

    def live(self) -> VersionInfo:
        return self.registry.info(self.registry.version_of(PRODUCTION) or "")

    def newest(self, variant: str) -> VersionInfo:
        return next(each for each in self.registry.versions() if each.variant == variant)

    def look(self, step: str) -> Found:
        """What each place says now."""
        versions = {alias: self.registry.version_of(alias) for alias in ALIASES}
        told = TOLD.findall(self.hub.get("reports/evaluation.html").decode())
        page = {"production" if role == "live" else "challenger": (version, by) for version, role, by in told}
        [(chosen_by,)] = self.query(CHOSEN_BY)
        found = Found(
            step,
            self.road,
            registry={alias: self.registry.info(version).label for alias, version in versions.items() if version},
            model_roles=dict(self.query(ROLES)),
            lists=dict(self.query(LISTS)),
            page={alias: version for alias, (version, _) in page.items()},
            chosen_by=(chosen_by, page["production"][1]),
        )
        self.steps.append(found)
        return found

    def table(self) -> Table:
        """All that was found, for people."""
        table = Table("step", "road", "registry", "model_roles", "lists", "page", "chosen by")
        for each in self.steps:
            places = (each.registry, each.model_roles, each.lists, each.page)
            row = (" / ".join(place.get(alias, "none") for alias in ALIASES) for place in places)
            table.add_row(each.step, each.road, *row, " / ".join(each.chosen_by))
        return table


@pytest.fixture(params=[COMMAND, AUTOMATION])
def changed_world(world: Path, run_recsys: Any, request: pytest.FixtureRequest) -> Iterator[World]:
    assert run_recsys("init")[0] == 0
    made = World(world, request.param)
    yield made
    Console(width=200).print(made.table())


def test_lists_page_and_registry_agree_after_whatever_a_person_changes(changed_world: World, run_recsys) -> None:
    """A person's choice, which the gate would refuse, stays through all of it, also where its recipe is no variant any more."""
    world = changed_world

    def agrees(step: str) -> Mapping[str, str]:
        assert world.follow(), step
        found = world.look(step)
        assert found.registry == found.model_roles == found.lists == found.page, step
        assert found.chosen_by == ("person", "person"), step
        return found.registry

    if world.road == AUTOMATION:  # it notices what changes after it was switched on
        assert not world.follow()
    first, chosen = world.live().variant, {"production": world.newest("als"), "challenger": world.newest("ease")}
    for alias, version in chosen.items():
        assert run_recsys("promote", version.version, "--as", alias, "--reason", "a trial")[0] == 0
    assert agrees("promote") == {alias: version.label for alias, version in chosen.items()}
    assert not world.follow()

    world.change_file(VARIANTS, my_ease={"model": "ease", "regularization": 30}, als={"components": 8})
    assert agrees("new and changed variant") == world.steps[0].registry
    assert {"my_ease", "als", "production"} <= {model for (model,) in world.query(MEASURED)}
    assert "my_ease" in world.hub.get("reports/evaluation.html").decode()
    assert world.newest("my_ease").metrics["ndcg"] > 0
    assert not world.follow()

    world.settings["LIST_LENGTH"] = "7"
    world.change_file(LIST_RULES, reranking={"most_of_a_category": 3})
    assert agrees("changed list rules") == world.steps[0].registry
    assert world.query(FULLEST) == [(3,)]
    assert world.query("select max(rank) from published.user_recommendations") == [(7,)]

    if world.road == COMMAND:
        world.change_attributes("book_attributes", title="Another title")
        world.change_attributes("user_attributes", tier="premium")
        newer = agrees("changed attributes")
        assert all(newer[alias].startswith(f"{version.variant}-") for alias, version in chosen.items())
        assert newer.items().isdisjoint(world.steps[0].registry.items())
        assert not world.follow()
        world.road = "recsys run --all"
        assert agrees("nothing") == newer
        world.road = COMMAND

    assert run_recsys("rollback", "--reason", "seen")[0] == 0
    assert agrees("rollback")["production"].startswith(f"{first}-")
