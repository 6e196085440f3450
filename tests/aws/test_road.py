"""The whole road with its hub in S3: what is loaded is what is loaded from a folder."""

from pathlib import Path

import duckdb
import pytest

from recsys_platform.config.settings import PREFIX
from recsys_platform.hub.local import FolderHub
from recsys_platform.hub.s3 import S3Hub
from recsys_platform.ingestion.loading import load_events
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.commands import recsys
from tests.support.small_variants import write_small_variants

READERS, BOOKS = 60, 40
SIZE = ("--readers", str(READERS), "--books", str(BOOKS), "--days", "3", "--seed", "3")
TABLES = {
    "raw.engagement_events": "source, object_key, record_index, landed_at, record",
    "raw.rejected_records": "source, object_key, record_index, landed_at, payload, reason",
    "ops.load_ledger where object_key like 'engagement_events/%'": "object_key, records, accepted, rejected",
}
"""What is loaded from a hub: whatever comes after reads the warehouse alone."""
BUILT = ("marts.fct_events", "marts.fct_sessions", "marts.fct_interactions", "published.user_recommendations")
pytestmark = pytest.mark.slow


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The simulated world with its hub in a folder, loaded."""
    home = tmp_path / "folder"
    monkeypatch.setenv(f"{PREFIX}HOME", str(home))
    assert recsys("simulate", *SIZE, patch=monkeypatch) == 0
    hub, warehouse = FolderHub(home / "hub"), DuckDBWarehouse(home / "warehouse.duckdb")
    warehouse.prepare()
    load_events(hub, warehouse, hub.objects("engagement_events/"))
    return home


@pytest.fixture
def in_s3(tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """The demo of the same world with its hub in S3."""
    home = tmp_path / "s3"
    write_small_variants(home)
    monkeypatch.setenv(f"{PREFIX}HOME", str(home))
    monkeypatch.setenv(f"{PREFIX}HUB", f"s3://{bucket}/world")
    assert recsys("demo", *SIZE, patch=monkeypatch) == 0, capsys.readouterr()
    return home


def rows(home: Path, table: str, columns: str = "*") -> list[tuple[object, ...]]:
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as con:
        return con.execute(f"select {columns} from {table} order by all").fetchall()


def test_a_hub_in_s3_gives_the_tables_of_a_hub_in_a_folder(
    in_folder: Path, in_s3: Path, bucket: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for table, columns in TABLES.items():
        expected, found = (rows(home, table, columns) for home in (in_folder, in_s3))
        assert expected, table
        assert found == expected, table
    attributes = "ops.load_ledger where object_key like '%_attributes/%'"
    assert rows(in_s3, attributes, "records, accepted, rejected") == [(BOOKS, BOOKS, 0), (READERS, READERS, 0)]
    assert [table for table in BUILT if not rows(in_s3, table)] == []
    assert not (in_s3 / "hub").exists()
    assert {"curated", "catalogue", "engagement_events"} <= set(S3Hub(bucket, "world").folders(""))
    capsys.readouterr()
    assert recsys("run", patch=monkeypatch) == 0
    assert "Nothing new: 0 objects loaded, no table changed" in " ".join(capsys.readouterr().out.split())
