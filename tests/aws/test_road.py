"""The whole road with its hub in S3: the same tables as from a folder."""

from pathlib import Path

import duckdb
import pytest

from recsys_platform.config.settings import PREFIX
from recsys_platform.hub.s3 import S3Hub
from tests.support.commands import recsys
from tests.support.small_variants import write_small_variants

SIZE = ("--readers", "60", "--books", "40", "--days", "3", "--seed", "3")
TABLES = {
    "raw.engagement_events": "source, object_key, record_index, landed_at, record",
    "raw.rejected_records": "source, object_key, record_index, landed_at, payload, reason",
    "ops.load_ledger": "object_key, records, accepted, rejected",
    "marts.fct_events": "* exclude (ip_hash, loaded_at)",  # each warehouse has a salt of its own
    "marts.fct_sessions": "*",
    "marts.fct_interactions": "*",
}


@pytest.fixture
def homes(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[Path]:
    """The demo's world twice: with its hub in a folder, and in S3."""
    made = []
    for name, place in (("folder", None), ("s3", f"s3://{bucket}/world")):
        monkeypatch.setenv(f"{PREFIX}HOME", str(tmp_path / name))
        write_small_variants(tmp_path / name)
        if place:
            monkeypatch.setenv(f"{PREFIX}HUB", place)
        assert recsys("demo", *SIZE, patch=monkeypatch) == 0, capsys.readouterr()
        made.append(tmp_path / name)
    return made


def rows(home: Path, table: str, columns: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as con:
        return con.execute(f"select {columns} from {table} order by all").fetchall()


def test_a_hub_in_s3_gives_the_tables_of_a_hub_in_a_folder(
    homes: list[Path], bucket: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for table, columns in TABLES.items():
        expected, found = (rows(home, table, columns) for home in homes)
        assert expected, table
        assert found == expected, table
    assert not (homes[1] / "hub").exists()
    assert {"curated", "catalogue", "engagement_events"} <= set(S3Hub(bucket, "world").folders(""))
    capsys.readouterr()
    assert recsys("run", patch=monkeypatch) == 0
    assert "Nothing new: 0 objects loaded, no table changed" in " ".join(capsys.readouterr().out.split())
