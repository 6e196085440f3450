"""A day later: what one run makes of a new day, of trouble that was mended before it, and of trouble that landed with it.

One world and one whole run for all of it: what is told and asserted of each trouble does not depend on the others.
"""

import datetime as dt
import gzip
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from recsys_platform.hub.layout import landing_key
from recsys_platform.hub.local import FolderHub
from recsys_platform.ingestion.loading import load_events
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from recsys_platform.warehouse.publications import live_version
from tests.support.commands import said_by

pytestmark = pytest.mark.slow

EVENTS = "engagement_events/"
NOW = dt.datetime.now(dt.UTC).replace(tzinfo=None)
SEARCH = {
    "type": "track",
    "event": "Books Searched",
    "messageId": "",
    "timestamp": NOW.isoformat(),
    "userId": "u0000001",
    "properties": {"query": "q"},
    "traits": {"email": "reader@example.org"},
}
TYPO, LATER = landing_key("segment", NOW, "typo.gz"), landing_key("segment", NOW, "later.gz")


@dataclass
class NextDay:
    """What commands said, each with its exit code, and what was there when they began."""

    home: Path
    stopped: list[tuple[int, str, str | None]] = field(default_factory=list)
    rejected: tuple[int, str] = (0, "")
    revalidated: list[tuple[int, str]] = field(default_factory=list)
    awaited: set[str] = field(default_factory=set)
    run: tuple[int, str] = (0, "")

    @property
    def hub(self) -> FolderHub:
        return FolderHub(self.home / "hub")

    @property
    def warehouse(self) -> DuckDBWarehouse:
        return DuckDBWarehouse(self.home / "warehouse.duckdb")

    def said(self, *arguments: str) -> tuple[int, str]:
        return said_by(*arguments, home=self.home)

    def land(self, key: str, content: bytes) -> None:
        self.hub.put(key, content)

    def stop_at_a_check(self) -> None:
        """Two runs over a ledger that says of one object what is not so, and the ledger as it was."""
        lost = "select object_key from ops.load_ledger where accepted > 1 and object_key like '%segment%' limit 1"
        [(key,)] = [row.values() for row in self.warehouse.frame(lost).to_pylist()]
        self.land(
            landing_key("segment", NOW, "news.gz"), gzip.compress(json.dumps(SEARCH | {"messageId": "news"}).encode())
        )
        self._change_records(key, 1)
        for _ in range(2):
            self.stopped.append((*self.said("run"), live_version(self.warehouse)))
        self._change_records(key, -1)

    def correct_a_record(self, folder: Path) -> None:
        """A record without an id is exported, corrected by hand and brought back, and once more."""
        self.land(TYPO, gzip.compress(json.dumps(SEARCH).encode()))
        load_events(self.hub, self.warehouse, [item for item in self.hub.objects(EVENTS) if item.key == TYPO])
        file = folder / "rejected.jsonl"
        self.rejected = self.said("rejected", "--reason", "no message id", "--export", str(file))
        line = next(json.loads(line) for line in file.read_text().splitlines() if TYPO in line)
        file.write_text(json.dumps(line | {"payload": SEARCH | {"messageId": "typo-mended"}}))
        self.revalidated = [self.said("revalidate", "--corrections", str(file)) for _ in range(2)]

    def land_a_day(self) -> None:
        """A simulated day, an object that was cut off, and a record that is rejected."""
        assert self.said("simulate", "--continue", "--days", "1")[0] == 0
        page = b'{"messageId":"t%d","timestamp":"2026-11-20T00:00:00Z","anonymousId":"a","type":"page"}'
        lines = b"\n".join(page % n for n in range(3000))
        key = landing_key("segment", NOW - dt.timedelta(days=1), "truncated.gz")
        self.land(key, gzip.compress(lines)[:-500])
        self.land(LATER, gzip.compress(json.dumps(SEARCH).encode()))
        self.awaited = {item.key for item in self.hub.objects(EVENTS)} - set(self.warehouse.ledger(EVENTS))

    def _change_records(self, key: str, by: int) -> None:
        with self.warehouse.connect() as con:
            con.execute("update ops.load_ledger set records = records + ? where object_key = ?", [by, key])


@pytest.fixture(scope="module")
def live_before(finished_world: Path) -> str | None:
    return live_version(DuckDBWarehouse(finished_world / "warehouse.duckdb"))


@pytest.fixture(scope="module")
def next_day(finished_world: Path, tmp_path_factory: pytest.TempPathFactory) -> NextDay:
    folder = tmp_path_factory.mktemp("next_day")
    made = NextDay(Path(shutil.copytree(finished_world, folder / "world")))
    made.stop_at_a_check()
    made.correct_a_record(folder)
    made.land_a_day()
    made.run = made.said("run")
    return made


def test_a_failed_blocking_check_stops_the_run_until_it_passes(next_day: NextDay, live_before: str | None) -> None:
    for code, said, live in next_day.stopped:
        assert code == 1
        assert "every_record_is_accepted_or_rejected" in said
        assert "1 objects are out of balance" in said
        assert "Traceback" not in said
        assert live == live_before
    assert len(next_day.stopped) == 2
    code, said = next_day.run
    assert code == 0, said
    assert live_version(next_day.warehouse) != live_before


def test_the_objects_of_a_new_day_load_alone(next_day: NextDay) -> None:
    _, said = next_day.run
    assert len(next_day.awaited) > 10
    assert f"Loaded {len(next_day.awaited):,} new objects" in said
    ledger = "select object_key, loaded_at from ops.load_ledger where object_key like 'engagement%' order by 2 desc"
    newest = next_day.warehouse.frame(ledger).to_pylist()[: len(next_day.awaited)]
    assert {row["object_key"] for row in newest} == next_day.awaited
    versions = "select count(*) as n from ops.publications where table_name = 'user_recommendations'"
    assert next_day.warehouse.frame(versions)["n"][0].as_py() == 2  # the one before stays for a rollback


def test_a_truncated_object_fails_a_check_and_the_rest_of_the_day_loads(next_day: NextDay) -> None:
    code, said = next_day.run
    assert code == 0
    assert "every_object_is_whole" in said
    assert "truncated.gz: truncated gzip" in said
    truncated = "from ops.load_ledger where object_key like '%truncated.gz'"
    [ledger] = next_day.warehouse.frame(truncated).to_pylist()
    assert ledger["records"] == ledger["accepted"] + ledger["rejected"]
    assert ledger["rejected"] == 1


def test_a_rejected_record_is_corrected_by_hand_and_reaches_the_marts(next_day: NextDay) -> None:
    code, said = next_day.rejected
    assert code == 0
    assert f"no message id: {TYPO} #0" in said or f"{TYPO} #0 no message id" in said
    assert "reader@example.org" not in said
    for corrected, (code, said) in zip((1, 0), next_day.revalidated, strict=True):
        assert code == 0
        assert said.startswith(f"{corrected} records corrected and loaded, {1 - corrected} were corrected before")
    assert next_day.warehouse.frame("from marts.fct_events where event_id = 'typo-mended'").num_rows == 1
    assert gzip.decompress(next_day.hub.get(f"rejected/{TYPO}.jsonl.gz")) == b""
    assert json.loads(gzip.decompress(next_day.hub.get(f"rejected/{LATER}.jsonl.gz")))["reason"] == "no message id"
