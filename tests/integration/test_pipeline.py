"""The pipeline as plain functions: the whole of it on a small world, since what is tested is the order of its steps."""

import datetime as dt
import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from recsys_platform.common.errors import RecsysError
from recsys_platform.config.factories import hub_of, prepare_home, registry_of, warehouse_of
from recsys_platform.config.settings import Settings, load_settings
from recsys_platform.pipeline import ingest, refresh
from recsys_platform.recommender.registry.versions import PRODUCTION
from recsys_platform.simulation.server import running_server
from recsys_platform.simulation.simulate import simulate
from recsys_platform.sources.feed_losses import newest_feed, note_in_use


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A simulated world with two variants, which fit in no time."""
    made = load_settings({"RECSYS_HOME": str(tmp_path)})
    prepare_home(made)
    yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    simulate(hub_of(made), readers=60, books=40, days=4, seed=1, end=yesterday, truth_dir=made.truth_root)
    made.config_folder.mkdir()
    (made.config_folder / "variants.yaml").write_text("popularity: {}\nitem_knn: {}\n")
    return made


@pytest.mark.slow
def test_a_world_is_refreshed_without_dagster(settings: Settings) -> None:
    with running_server(settings.truth_root) as url:
        served = load_settings(
            {"RECSYS_HOME": str(settings.home), "RECSYS_USERS_URL": f"{url}/users", "RECSYS_BOOKS_URL": f"{url}/books"}
        )
        first = refresh(served)
        again = refresh(served)
    assert first.loaded.records == first.loaded.accepted + first.loaded.rejected > 500
    assert set(first.versions) == {"popularity", "item_knn"}
    assert registry_of(settings).version_of(PRODUCTION) in first.versions.values()
    lists = warehouse_of(settings).frame(
        "select count(distinct user_id) as readers from published.user_recommendations"
    )
    assert lists["readers"].to_pylist()[0] > 10
    assert hub_of(settings).exists("reports/evaluation.html")
    assert settings.analytics_path.exists()
    assert again.loaded.objects == 0
    assert (again.versions, again.published.version) == (first.versions, first.published.version)


def test_a_snapshot_that_lost_most_books_ends_a_refresh_until_a_person_accepts_it(tmp_path: Path) -> None:
    """As the blocking check of `recsys run` does: without it the lists would be of the books that are left."""
    settings = load_settings({"RECSYS_HOME": str(tmp_path)})
    hub, warehouse = hub_of(settings), warehouse_of(settings)
    warehouse.prepare()
    for day, count in (("2026-11-20", 40), ("2026-11-21", 10)):
        books = "".join(f'{{"book_id": "b{n:02}", "title": "Book {n}"}}\n' for n in range(count))
        hub.put(f"book_attributes/dt={day}/part-0.json.gz", gzip.compress(books.encode()))
        if count == 40:
            ingest(settings, hub, warehouse)
    with pytest.raises(RecsysError, match=r"10 of 40 records are left in the snapshot of 2026-11-21.*accept-snapshot"):
        ingest(settings, hub, warehouse)
    feed = newest_feed(hub, "book_attributes")
    assert feed
    note_in_use(hub, "book_attributes", feed, who="ann", why="the catalog was cleaned")
    assert ingest(settings, hub, warehouse).objects == 0


def test_the_pipeline_imports_no_dagster() -> None:
    code = "import sys, recsys_platform.pipeline; print(sorted({'dagster', 'dagster_dbt', 'dbt', 'mlflow'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
