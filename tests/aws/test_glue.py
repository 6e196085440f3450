"""Glue and Athena are told of the hub's tables, of each once, and of nothing that is not so."""

import datetime as dt
import gzip
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlglot
from sqlglot import exp

from recsys_platform.catalog.athena_ddl import add_partitions, create_table, statements
from recsys_platform.catalog.discovery import find_tables
from recsys_platform.catalog.glue import Changes, GlueDatabase
from recsys_platform.catalog.hive_tables import HiveTable, hive_table, plain
from recsys_platform.catalog.schema_history import record_tables
from recsys_platform.catalog.tables import LocalCatalog, Table
from recsys_platform.common.errors import HubError
from recsys_platform.config.settings import load_settings
from recsys_platform.definitions import build_defs
from recsys_platform.hub.curated import put_day, remove_day
from recsys_platform.hub.layout import attributes_key, landing_key
from recsys_platform.hub.local import FolderHub
from recsys_platform.hub.object_store import Hub
from recsys_platform.hub.s3 import S3Hub
from tests.support.aws_roles import OUTSIDE, acting_as

FRIDAY = dt.date(2026, 11, 20)
SATURDAY = FRIDAY + dt.timedelta(days=1)
NOTHING = Changes()
VIEW = {
    "messageId": "m1",
    "userId": "u1",
    "timestamp": "2026-11-20T05:00:00Z",
    "properties": {"bookId": "b1", "timestamp": 5},
    "items": [{"Position": 1}],
}


@pytest.fixture(autouse=True)
def databases(bucket: str) -> None:
    """Databases as CloudFormation makes them; processes of the deployment may not."""
    for name in ("recsys", "readers"):
        boto3.client("glue").create_database(DatabaseInput={"Name": name})


def books(hub: Hub, day: dt.date, **more: Any) -> None:
    record = json.dumps({"book_id": "b1", "reading_minutes": 15} | more)
    hub.put(attributes_key("book_attributes", day), gzip.compress(record.encode()))


def view(hub: Hub, day: dt.date = FRIDAY, **more: Any) -> None:
    key = landing_key("segment", dt.datetime.combine(day, dt.time(5)), "a.gz")
    hub.put(key, gzip.compress(json.dumps(VIEW | more).encode()))


def pages(hub: Hub, *days: dt.date, **columns: Any) -> None:
    for day in days:
        put_day(hub, "pages", day, pa.table({"book_id": ["b1"]} | columns))


def mirror(hub: Hub, database: str = "recsys") -> Changes:
    return GlueDatabase(database).mirror(hub, find_tables(hub))


def in_glue(name: str) -> dict[str, Any]:
    found: dict[str, Any] = boto3.client("glue").get_table(DatabaseName="recsys", Name=name)["Table"]
    return found


def columns(described: Mapping[str, Any]) -> dict[str, str]:
    return {each["Name"]: each["Type"] for each in described["StorageDescriptor"]["Columns"]}


def days(name: str) -> dict[str, Any]:
    pages = boto3.client("glue").get_paginator("get_partitions").paginate(DatabaseName="recsys", TableName=name)
    return {each["Values"][0]: each for page in pages for each in page["Partitions"]}


def versions(name: str) -> int:
    found = boto3.client("glue").get_table_versions(DatabaseName="recsys", TableName=name)
    return len(found["TableVersions"])


def as_hive(hub: Hub, name: str) -> HiveTable:
    return hive_table(hub, next(each for each in find_tables(hub) if each.name == name))


# What Glue is told


def test_every_table_and_day_is_registered_and_a_second_run_changes_nothing(s3_hub: S3Hub) -> None:
    view(s3_hub)
    books(s3_hub, FRIDAY)
    pages(s3_hub, FRIDAY, SATURDAY)
    assert mirror(s3_hub) == Changes(tables_created=3, partitions_created=4)
    names = ("curated_pages", "landing_book_attributes", "landing_engagement_events_segment")
    assert [versions(name) for name in names] == [1, 1, 1]
    assert mirror(s3_hub) == NOTHING
    assert [versions(name) for name in names] == [1, 1, 1]


def test_a_database_that_is_not_there_is_made_by_who_may(s3_hub: S3Hub) -> None:
    pages(s3_hub, FRIDAY)
    with acting_as(OUTSIDE):
        assert mirror(s3_hub, "new") == Changes(tables_created=1, partitions_created=1)


def test_a_new_day_is_a_partition_and_no_version_of_the_table(s3_hub: S3Hub) -> None:
    pages(s3_hub, FRIDAY)
    mirror(s3_hub)
    pages(s3_hub, SATURDAY)
    assert mirror(s3_hub) == Changes(partitions_created=1)
    assert versions("curated_pages") == 1


def test_a_day_that_is_gone_from_the_hub_goes_from_glue(s3_hub: S3Hub) -> None:
    pages(s3_hub, FRIDAY, SATURDAY)
    mirror(s3_hub)
    remove_day(s3_hub, "pages", FRIDAY)
    assert mirror(s3_hub) == Changes(partitions_removed=1)
    assert list(days("curated_pages")) == ["2026-11-21"]


def test_a_changed_field_is_a_new_version_of_the_table_and_of_all_its_days(s3_hub: S3Hub) -> None:
    books(s3_hub, FRIDAY)
    record_tables(s3_hub, LocalCatalog(s3_hub))
    mirror(s3_hub)
    books(s3_hub, SATURDAY, isbn="1")
    recorded = [each.table for each in record_tables(s3_hub, LocalCatalog(s3_hub))]
    glue = GlueDatabase()
    assert glue.mirror(s3_hub, recorded) == Changes(tables_updated=1, partitions_created=1, partitions_updated=1)
    assert glue.mirror(s3_hub, recorded) == NOTHING
    found = boto3.client("glue").get_table_versions(DatabaseName="recsys", TableName="landing_book_attributes")
    told = {each["VersionId"]: each["Table"] for each in found["TableVersions"]}
    assert list(columns(told["1"])) == ["book_id", "reading_minutes"]
    assert list(columns(told["2"])) == ["book_id", "isbn", "reading_minutes"]
    assert [told[each]["Parameters"]["recsys.version"] for each in ("1", "2")] == ["1", "2"]
    assert {tuple(columns(each)) for each in days("landing_book_attributes").values()} == {tuple(columns(told["2"]))}


def test_a_table_without_objects_goes_and_one_that_cannot_be_read_today_stays(s3_hub: S3Hub) -> None:
    pages(s3_hub, FRIDAY)
    books(s3_hub, FRIDAY)
    mirror(s3_hub)
    remove_day(s3_hub, "pages", FRIDAY)
    assert GlueDatabase().mirror(s3_hub, []) == Changes(tables_removed=1)
    assert mirror(s3_hub) == NOTHING


def test_events_are_read_from_the_folder_of_their_day_and_parquet_from_its_own(s3_hub: S3Hub, bucket: str) -> None:
    view(s3_hub)
    pages(s3_hub, FRIDAY)
    mirror(s3_hub)
    places = {name: days(name)["2026-11-20"]["StorageDescriptor"]["Location"] for name in LAYOUTS}
    assert places == {name: f"s3://{bucket}/world/{folder}" for name, folder in LAYOUTS.items()}


LAYOUTS = {
    "landing_engagement_events_segment": "engagement_events/source=segment/2026/11/20/",
    "curated_pages": "curated/pages/dt=2026-11-20/",
}


def test_a_table_says_how_it_is_read(s3_hub: S3Hub) -> None:
    view(s3_hub)
    pages(s3_hub, FRIDAY)
    mirror(s3_hub)
    landing, curated = in_glue("landing_engagement_events_segment"), in_glue("curated_pages")
    for told, kind, compression, serde in (
        (landing, "json", "gzip", "org.openx.data.jsonserde.JsonSerDe"),
        (curated, "parquet", "none", "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"),
    ):
        assert (told["TableType"], told["PartitionKeys"]) == ("EXTERNAL_TABLE", [{"Name": "dt", "Type": "date"}])
        assert told["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"] == serde
        assert (
            told["Parameters"].items()
            >= {
                "classification": kind,
                "compressionType": compression,
                "recsys.version": "1",
            }.items()
        )


def test_names_are_such_as_hive_takes_and_lead_back_to_the_keys(s3_hub: S3Hub) -> None:
    odd = {"dt": 1, "os.name": "x", "Größe": 2, "userid": 7, "properties": {"Book-Id": "b", "book_id": 1}}
    view(s3_hub, **odd)
    told = as_hive(s3_hub, "landing/engagement_events_segment")
    assert told.columns == {
        "dt_": "bigint",
        "gr__e": "bigint",
        "items": "array<struct<position:bigint>>",
        "messageid": "string",
        "os_name": "string",
        "properties": "struct<book_id:string>",
        "timestamp": "string",
        "userid": "string",
    }
    assert told.properties == {
        "ignore.malformed.json": "true",
        "mapping.dt_": "dt",
        "mapping.gr__e": "größe",
        "mapping.os_name": "os.name",
    }


def test_a_column_of_a_file_called_like_the_partition_is_left_to_the_path(s3_hub: S3Hub) -> None:
    pages(s3_hub, FRIDAY, dt=["x"], Last=[{"Page-No": 1}])
    assert as_hive(s3_hub, "curated/pages").columns == {"book_id": "string", "last": "struct<page_no:bigint>"}


@pytest.mark.slow
def test_partitions_are_sent_by_the_hundred_and_deleted_by_twenty_five(s3_hub: S3Hub) -> None:
    many = [FRIDAY + dt.timedelta(days=number) for number in range(120)]
    pages(s3_hub, *many)
    (table,) = find_tables(s3_hub)
    glue, sent = GlueDatabase(), []
    for what in ("Create", "Delete"):
        event = f"provide-client-params.glue.Batch{what}Partition"
        glue.client.meta.events.register(event, lambda params, **_: sent.append(_size(params)))
    assert glue.mirror(s3_hub, [table]) == Changes(tables_created=1, partitions_created=120)
    assert glue.mirror(s3_hub, [_of_days(table, 90)]) == Changes(partitions_removed=30)
    assert sent == [100, 20, 25, 5]


def _size(params: Mapping[str, Any]) -> int:
    return next(len(value) for value in params.values() if isinstance(value, list))


def _of_days(table: Table, number: int) -> Table:
    return replace(table, partitions=table.partitions[:number])


# What is left alone, and what is said


def test_what_others_wrote_stays(s3_hub: S3Hub) -> None:
    pages(s3_hub, FRIDAY)
    mirror(s3_hub)
    glue = boto3.client("glue")
    glue.create_table(DatabaseName="recsys", TableInput={"Name": "mine", "StorageDescriptor": {"Location": "s3://b/"}})
    ours = in_glue("curated_pages")
    noted = {key: ours[key] for key in ("Name", "TableType", "PartitionKeys", "StorageDescriptor", "Parameters")}
    noted["Parameters"]["steward"] = "Ada"
    glue.update_table(DatabaseName="recsys", TableInput=noted)
    assert mirror(s3_hub) == NOTHING
    pages(s3_hub, FRIDAY, pages=[300])
    assert mirror(s3_hub) == Changes(tables_updated=1, partitions_updated=1)
    assert in_glue("curated_pages")["Parameters"]["steward"] == "Ada"
    assert in_glue("mine")["StorageDescriptor"]["Location"] == "s3://b/"


def test_a_table_of_somebody_else_in_the_way_is_refused_before_anything_is_told(s3_hub: S3Hub, bucket: str) -> None:
    pages(s3_hub, FRIDAY)
    books(s3_hub, FRIDAY)
    mirror(s3_hub)
    other = S3Hub(bucket, "another")
    pages(other, FRIDAY)
    view(other)
    with pytest.raises(HubError, match=r"recsys.curated_pages of Glue is not of this hub: .*RECSYS_GLUE_DATABASE"):
        mirror(other)
    assert "landing_engagement_events_segment" not in {
        each["Name"] for each in boto3.client("glue").get_tables(DatabaseName="recsys")["TableList"]
    }


def test_a_hub_in_a_folder_and_a_bad_name_are_refused_in_one_sentence(s3_hub: S3Hub, tmp_path: Path) -> None:
    with pytest.raises(HubError, match=r"Glue and Athena cannot read the hub .*: set RECSYS_HUB"):
        mirror(FolderHub(tmp_path))
    with pytest.raises(HubError, match="'My-Database' cannot name a database of Glue"):
        mirror(s3_hub, "My-Database")


def test_what_aws_refuses_is_one_sentence(s3_hub: S3Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_GLUE", "http://127.0.0.1:9")
    with pytest.raises(
        HubError, match=r"Cannot register the tables of the hub in the database recsys of Glue: .*"
    ) as told:
        mirror(s3_hub)
    assert "\n" not in str(told.value)


# The asset


@pytest.fixture
def run(tmp_path: Path, bucket: str) -> Callable[..., dict[str, Any]]:
    """Materialize the catalog; its metadata."""

    def metadata(**more: str) -> dict[str, Any]:
        given = {"RECSYS_HOME": str(tmp_path), "RECSYS_HUB": f"s3://{bucket}/world", **more}
        with dg.DagsterInstance.ephemeral() as instance:
            job = build_defs(load_settings(given)).resolve_job_def("refresh")
            done = job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey(["hub", "catalogue"])])
        (made,) = done.asset_materializations_for_node("hub__catalogue")
        return {name: value.value for name, value in made.metadata.items() if name.startswith("glue")}

    return metadata


@pytest.mark.slow
def test_the_asset_tells_glue_where_the_setting_says_so(run: Callable[..., dict[str, Any]], s3_hub: S3Hub) -> None:
    pages(s3_hub, FRIDAY)
    assert run() == {}
    first, second = run(RECSYS_GLUE_DATABASE="readers"), run(RECSYS_GLUE_DATABASE="readers")
    assert (first["glue_tables_created"], first["glue_partitions_created"]) == (1, 1)
    assert (len(second), set(second.values())) == (6, {0})
    told = boto3.client("glue").get_tables(DatabaseName="readers")["TableList"]
    assert [each["Name"] for each in told] == ["curated_pages"]


# Athena


ARROW = {
    "name": pa.array(["a"]),
    "pages": pa.array([1], pa.int32()),
    "words": pa.array([1], pa.int64()),
    "score": pa.array([0.5], pa.float32()),
    "mean": pa.array([0.5]),
    "price": pa.array([1], pa.decimal128(10, 2)),
    "is_premium": pa.array([True]),
    "seen_at": pa.array([dt.datetime(2026, 11, 20)], pa.timestamp("us")),
    "born_on": pa.array([FRIDAY]),
    "categories": pa.array([["x"]]),
    "last": pa.array([{"timestamp": 1, "of": {"end": "x"}}]),
}
READ_BACK = {  # what Athena's SQL calls each, by what Arrow reads in the file
    pa.string(): "STRING",
    pa.int32(): "INT",
    pa.int64(): "BIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.decimal128(10, 2): "DECIMAL(10, 2)",
    pa.bool_(): "BOOLEAN",
    pa.timestamp("us"): "TIMESTAMP",
    pa.date32(): "DATE",
    pa.list_(pa.field("element", pa.string())): "ARRAY<STRING>",
    ARROW["last"].type: "STRUCT<`timestamp`: BIGINT, `of`: STRUCT<`end`: STRING>>",
}


def parsed(statement: str, dialect: str) -> exp.Create:
    found = sqlglot.parse_one(statement, read=dialect)
    assert isinstance(found, exp.Create)
    return found


def columns_in(created: exp.Create, dialect: str = "hive") -> dict[str, str]:
    return {each.name: each.kind.sql("hive") for each in created.this.expressions}


@pytest.mark.parametrize("dialect", ["athena", "hive"])
def test_the_statement_for_parquet_says_what_the_file_says(s3_hub: S3Hub, bucket: str, dialect: str) -> None:
    put_day(s3_hub, "odd", FRIDAY, pa.table(ARROW))
    (key,) = (item.key for item in s3_hub.objects("curated/odd/"))
    schema = pq.read_schema(io.BytesIO(s3_hub.get(key)))
    created = parsed(create_table(as_hive(s3_hub, "curated/odd")), dialect)
    assert columns_in(created) == {each.name: READ_BACK[each.type] for each in schema}
    assert created.args["exists"]
    assert created.this.this.sql("hive") == "`recsys`.`curated_odd`"
    told = created.args["properties"].sql("hive")
    assert "PARTITIONED BY (`dt` DATE)" in told
    assert "STORED AS PARQUET" in told
    assert f"LOCATION 's3://{bucket}/world/curated/odd/'" in told


@pytest.mark.parametrize("dialect", ["athena", "hive"])
def test_the_statement_for_landing_objects_quotes_what_sql_would_take_for_its_own(s3_hub: S3Hub, dialect: str) -> None:
    view(s3_hub, **{"os.name": "it's"})
    created = parsed(create_table(as_hive(s3_hub, "landing/engagement_events_segment"), "readers"), dialect)
    assert columns_in(created) == {
        "items": "ARRAY<STRUCT<`position`: BIGINT>>",
        "messageid": "STRING",
        "os_name": "STRING",
        "properties": "STRUCT<`bookid`: STRING, `timestamp`: BIGINT>",
        "timestamp": "STRING",
        "userid": "STRING",
    }
    told = created.args["properties"].sql("hive")
    assert "ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'" in told
    assert "'mapping.os_name'='os.name'" in told


def test_athena_is_told_what_glue_is_told(s3_hub: S3Hub) -> None:
    view(s3_hub)
    pages(s3_hub, FRIDAY, pages=[300])
    mirror(s3_hub)
    for table in (hive_table(s3_hub, each) for each in find_tables(s3_hub)):
        told = in_glue(table.name)
        created = parsed(create_table(table), "hive")
        kinds = {name: kind.replace("`", "").replace(" ", "").lower() for name, kind in columns_in(created).items()}
        assert kinds == columns(told)
        properties = created.args["properties"].sql("hive")
        assert all(f"'{name}'='{value}'" in properties for name, value in table.parameters.items())
        assert table.parameters.items() <= told["Parameters"].items()


def test_days_are_added_in_statements_that_athena_takes(s3_hub: S3Hub, bucket: str) -> None:
    pages(s3_hub, FRIDAY, SATURDAY)
    table = as_hive(s3_hub, "curated/pages")
    assert add_partitions(table) == [
        "alter table `recsys`.`curated_pages` add if not exists\n"
        f"    partition (`dt` = '2026-11-20') location 's3://{bucket}/world/curated/pages/dt=2026-11-20/'\n"
        f"    partition (`dt` = '2026-11-21') location 's3://{bucket}/world/curated/pages/dt=2026-11-21/'"
    ]
    assert statements(table) == [create_table(table), *add_partitions(table)]


@pytest.mark.parametrize(("name", "said"), [("messageId", "messageid"), ("a b.c-d", "a_b_c_d"), ("", "_"), ("Ω", "_")])
def test_a_plain_name_is_letters_digits_and_underscores(name: str, said: str) -> None:
    assert plain(name) == said
