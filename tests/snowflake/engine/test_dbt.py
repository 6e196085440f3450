"""`dbt build` whole on Snowflake: seeds, models, snapshots, data tests and unit tests, first from nothing and then one load on."""

import datetime as dt
import json
import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from recsys_platform.config.dbt_profile import variables_for_dbt
from recsys_platform.config.settings import Settings
from recsys_platform.defs.transform.project import DBT, ROOT
from recsys_platform.hub.object_store import Hub
from recsys_platform.ingestion.loading import load_events, load_snapshot
from recsys_platform.warehouse.snowflake.engine import SnowflakeWarehouse
from tests.support.days import DAY
from tests.support.snapshots import deliver
from tests.support.snowflake.statements import assert_all_parses_and_the_docs_tell_what_is_only_written

KINDS = {"exposure", "model", "seed", "snapshot", "test", "unit_test"}
pytestmark = pytest.mark.slow


def pinpoint(number: int) -> dict[str, Any]:
    """A reader finishes a book."""
    return {
        "event_type": "book_finished",
        "event_timestamp": 1795150800000 + number,
        "client": {"client_id": "d1"},
        "endpoint": {"User": {"UserId": "u1"}},
        "attributes": {"book_id": "b1"},
    }


def matomo(number: int) -> dict[str, Any]:
    """Somebody looks at a book."""
    seen = {"idsite": "1", "_id": "d2", "cdt": "1795150800", "e_c": "Book", "e_a": "Viewed", "e_n": "b1"}
    return seen | {"rand": str(number)}


def load(hub: Hub, warehouse: SnowflakeWarehouse, day: dt.date = DAY) -> None:
    """All that landed, and the snapshots of a day."""
    readers = ({"user_id": "u1", "email": "ann@example.com"}, {"user_id": "u2"})
    books = ({"book_id": "b1", "title": "It's", "categories": ["sleep", "work"]}, {"book_id": "b2"})
    load_events(hub, warehouse, hub.objects("engagement_events/"))
    for kind, rows in (("user", readers), ("book", books)):
        folder = deliver(hub, kind, day, *rows)
        load_snapshot(hub, warehouse, f"{kind}_attributes", day, hub.objects(folder))


def build(settings: Settings, folder: Path, *options: str) -> Counter[str]:
    """How many resources of each kind were built or tested; fails if one of them does, warns or is skipped."""
    variables = {**variables_for_dbt(settings), "DBT_TARGET_PATH": str(folder), "DBT_LOG_PATH": str(folder)}
    # Published tables come after the build.
    command = [str(DBT), "build", "--exclude", "source:published+", *options]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    results = json.loads((folder / "run_results.json").read_text())["results"]
    assert {each["status"] for each in results} == {"success", "pass", "no-op"}  # there is nothing to do for exposures
    return Counter(each["unique_id"].partition(".")[0] for each in results)


def unit_tests() -> int:
    """How many are written down."""
    files = (path.read_text() for path in ROOT.rglob("_unit_tests.yml") if "target" not in path.parts)
    return sum(text.count("\n  - name: ") for text in files)


def sources_with_tests(folder: Path) -> set[str]:
    """Tables of Python's that were tested."""
    results = json.loads((folder / "run_results.json").read_text())["results"]
    nodes = json.loads((folder / "manifest.json").read_text())["nodes"]
    tested = [nodes[each["unique_id"]] for each in results if each["unique_id"].startswith("test.")]
    return {name for test in tested for name in test["depends_on"]["nodes"] if name.startswith("source.")}


def events(warehouse: SnowflakeWarehouse) -> dict[str, int]:
    """Distinct events of each tracker."""
    rows = warehouse.frame("select source, count(*) as n from marts.fct_events group by source").to_pylist()
    return {row["source"]: row["n"] for row in rows}


def notes(warehouse: SnowflakeWarehouse) -> list[str]:
    """The models and seeds whose builds are noted, each as often as it is."""
    return warehouse.frame("select model from ops.model_builds order by model")["model"].to_pylist()


def lose_note(warehouse: SnowflakeWarehouse, model: str) -> None:
    """As if the build had died when the model was made, and before that was noted."""
    with warehouse.connect() as session:
        session.execute("update ops.model_builds set loaded_to = '1970-01-01' where model = ?", [model])


def test_everything_is_built_and_tested_and_again_after_another_load_and_all_sql_parses(
    hub: Hub, warehouse: SnowflakeWarehouse, settings: Settings, land, view, tmp_path: Path
) -> None:
    warehouse.ensure_salt("a salt that only tests know")
    land("a.gz", view("m1"), view("m2", user="u2"), view("m1"), b"oops")
    land("b.gz", pinpoint(1), source="pinpoint")
    land("c.gz", matomo(1), source="matomo")
    load(hub, warehouse)
    first, noted = build(settings, tmp_path), notes(warehouse)
    assert_all_parses_and_the_docs_tell_what_is_only_written(tmp_path, settings)
    assert events(warehouse) == {"matomo": 1, "pinpoint": 1, "segment": 2}

    lose_note(warehouse, "int_event_sessions")
    land("d.gz", view("m1"), view("m3"), hour=4)  # it landed before what is loaded of that event
    land("e.gz", pinpoint(2), source="pinpoint", hour=6)
    land("f.gz", matomo(2), source="matomo", hour=6)
    load(hub, warehouse, DAY + dt.timedelta(days=1))
    second = build(settings, tmp_path, "--exclude-resource-type", "unit_test")  # they bring their own rows
    assert events(warehouse) == {"matomo": 2, "pinpoint": 2, "segment": 3}

    assert first.keys() == KINDS
    assert first["unit_test"] == unit_tests() > 0
    assert second == first - Counter(unit_test=unit_tests())
    assert {name.split(".")[2] for name in sources_with_tests(tmp_path)} == {"raw", "ops"}
    assert notes(warehouse) == noted == sorted(set(noted))
