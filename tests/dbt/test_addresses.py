"""An e-mail address in any field of any source leaves `raw` through no column and no file."""

import copy
import datetime as dt
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from recsys_platform.exports.daily_export import DAILY_TABLES, write_changed_days
from recsys_platform.exports.personalize import export
from recsys_platform.hub.local import FolderHub
from recsys_platform.recommender.data import training_data
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.dbt_world import PROJECT
from tests.support.salted import EPOCH, TIME, put_salt

Record = dict[str, Any]
FORMS = (
    *("ann@mail.example", "to Ann.Smith+x@mail.example, now", "ann%40mail.example", "ANN@MAIL.EXAMPLE"),
    *('"ann smith"@mail.example', "ann=@mail.example", "ann/@mail.example", "ann?@mail.example", "ann{1}@mail.example"),
    *("ann|@mail.example", "<ann>@mail.example", "ann%2540mail.example", "ann\uff20mail.example"),
)
"""As it is, inside a text with other signs, in a URL, in capitals; names with signs that end others; encoded twice, full width."""
PLANTED = re.compile(r"(@|\uff20|%(25)*40|u0040|uff20)mail([.]|\\+u002e)example", re.IGNORECASE)
ABOUT = {"request_id": "r", "surface": "s", "model": "m", "model_version": "1", "experiment": "e", "variant": "v"}
SEGMENT: list[Record] = [
    {"event": "Book Viewed", "properties": {"book_id": "b1"}},
    {"event": "Books Searched", "properties": {"query": "q"}},
    {"event": "Recommendations Viewed", "properties": {**ABOUT, "items": [{"book_id": "b1"}]}},
    {"event": "Recommendation Clicked", "properties": {"request_id": "r", "book_id": "b1", "position": 1}},
    {"event": "Subscription Started", "properties": {"plan": "p", "price": 1, "currency": "EUR"}},
    {"event": "App Rated", "properties": {"rating": 4, "store": "s"}},
    *({"type": kind, "event": None} for kind in ("identify", "page", "screen", "group")),
    {"type": "alias", "event": None, "previousId": "a9"},
]
PINPOINT: list[Record] = [
    {"event_type": "book_viewed", "attributes": {"book_id": "b1"}},
    {"event_type": "_email.click"},
    {"event_type": "_SMS.SUCCESS"},
]
MATOMO: list[Record] = [
    {"action_name": "Home"},
    {"e_c": "Book", "e_a": "Viewed", "e_n": "b1"},
    {"search": "q"},
    {"e_c": "Subscription", "e_a": "Started", "revenue": 3},
    {"idgoal": 1},
]
NEEDED = {
    "segment": {"type": "track", "messageId": "m", "userId": "u1", "anonymousId": "a1", "timestamp": TIME},
    "pinpoint": {
        "event_timestamp": EPOCH * 1000,
        "client": {"client_id": "c1"},
        "endpoint": {"User": {"UserId": "u1"}},
    },
    "matomo": {"idsite": 1, "_id": "v1", "cdt": EPOCH, "rand": "0"},
    "user": {
        "user_id": "u1",
        "created_at": TIME,
        "country": "DE",
        "language": "de",
        "tier": "free",
        "interests": ["a"],
    },
    "book": {"book_id": "b1", "title": "T", "author": "A", "language": "de", "categories": ["a"]},
}
MODELS = {"segment": "stg_segment__events", "pinpoint": "stg_pinpoint__events", "matomo": "stg_matomo__events"}
MODELS |= {"user": "stg_attributes__users", "book": "stg_attributes__books"}
INSIDE = {"segment": ("properties", "traits"), "pinpoint": ("attributes", "metrics")}


def paths_read(source: str) -> set[str]:
    """Every path of the source's records that staging reads, with what it may find inside objects."""
    sql = (PROJECT / "models" / "staging" / f"{MODELS[source]}.sql").read_text()
    fields, _, inside = sql.partition("inside={")
    entry = r"'\w+':\s*(\[[^\]]*\]|'[^']*')"
    outer = {path for value in re.findall(entry, fields) for path in re.findall(r"'([^']+)'", value)}
    found = set(outer)
    for name, block in re.findall(r"'(\w+)':\s*\{([^}]*)\}", inside):
        assert name in INSIDE[source]
        values = re.findall(entry, block)
        found |= {f"{name}.{path}" for value in values for path in re.findall(r"'([^']+)'", value)}
    return found | {"wholly.unknown"}


def planted(record: Record, path: str, value: Any) -> Record:
    """The record with a value at a path."""
    made = copy.deepcopy(record)
    *folders, name = path.split(".")
    here = made
    for folder in folders:
        here[folder] = here[folder] if isinstance(here.get(folder), dict) else {}
        here = here[folder]
    here[name] = value
    return made


def values(form: str) -> list[Any]:
    books = [{"book_id": form, "label": form}]
    return [form, [form], {form: form}, books, escaped([form]), escaped(books), json.dumps(escaped([form]))]


def escaped(value: Any) -> str:
    """JSON as a text, in which the signs of an address are written as their numbers."""
    return json.dumps(value).replace("@", "\\u0040").replace(".", "\\u002e")


def records_of(source: str, kinds: list[Record]) -> Iterator[Record]:
    """Every path, in every kind of record, with an address in some form and shape; each id is its own."""
    number = 0
    for path in sorted(paths_read(source)):
        for kind in kinds:
            for value in values(FORMS[number % len(FORMS)]):
                number += 1
                base = NEEDED[source] | {"segment": {"messageId": f"m{number}"}, "matomo": {"rand": str(number)}}.get(
                    source, {}
                )
                yield planted(base | kind, path, value)


def attributes_of(kind: str) -> Iterator[Record]:
    yield NEEDED[kind]
    for number, path in enumerate(sorted(paths_read(kind) | {f"{kind}_id"})):
        for each, form in enumerate(FORMS):
            key = {f"{kind}_id": f"{kind}{number}-{each}"}
            value = values(form)[(number + each) % 7]
            yield planted(NEEDED[kind] | key, path, value if path != f"{kind}_id" else f"{each}{form}")


@pytest.fixture(scope="module")
def built(new_world: Any) -> Any:
    """All those records in a salted world, built twice."""
    world = new_world()
    put_salt(world)
    for source, kinds in (("segment", SEGMENT), ("pinpoint", PINPOINT), ("matomo", MATOMO)):
        world.load(source, *records_of(source, kinds))
    for day in ("2026-11-21", "2026-11-22"):
        for kind in ("user", "book"):
            world.snapshot(kind, day, *attributes_of(kind))
        world.build()
    return world


def test_the_paths_that_staging_reads_are_found() -> None:
    found = {source: len(paths_read(source)) for source in MODELS}
    assert {
        source: count >= least for (source, count), least in zip(found.items(), (40, 30, 20, 6, 8), strict=True)
    } == (dict.fromkeys(MODELS, True)), found
    assert {"context.locale", "properties.items", "traits.plan"} <= paths_read("segment")
    assert {"metrics.rating", "endpoint.Demographic.Locale"} <= paths_read("pinpoint")


@pytest.mark.slow
def test_no_column_of_any_table_outside_raw_holds_an_address(built: Any) -> None:
    sql = "select table_schema || '.' || table_name from information_schema.tables where table_schema <> 'raw'"
    holding = []
    with built.connect() as con:
        for (table,) in con.execute(sql).fetchall():
            for column in con.table(table).columns:
                texts = con.execute(f'select distinct cast("{column}" as varchar) from {table}').fetchall()
                found = [text for (text,) in texts if text and PLANTED.search(text)]
                holding += [(f"{table}.{column}", found[0])] if found else []
        counts = con.execute("select count(*), count(distinct event_name) from marts.fct_events").fetchall()
    assert holding == []
    assert counts[0][0] > 1_000
    assert counts[0][1] > 15


@pytest.mark.slow
def test_no_file_that_leaves_the_warehouse_holds_an_address(built: Any, tmp_path: Path) -> None:
    hub, warehouse = FolderHub(tmp_path), DuckDBWarehouse(built.home / "warehouse.duckdb")
    for table in DAILY_TABLES:
        write_changed_days(hub, warehouse, table)
    names = ("fct_interactions", "dim_users", "dim_books")
    training_data.write_snapshot(
        hub, dt.date(2026, 11, 22), {name: warehouse.frame(f"select * from marts.{name}") for name in names}
    )
    export(hub, warehouse, dt.date(2026, 11, 22))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} >= {".parquet", ".csv"}
    assert [path.name for path in files if PLANTED.search(text_of(path))] == []


def text_of(path: Path) -> str:
    """All that a file says."""
    if path.suffix == ".parquet":
        return json.dumps(pq.read_table(path).to_pylist(), default=str) + str(pq.read_metadata(path).metadata)
    return path.read_text(errors="replace")
