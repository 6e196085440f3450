"""JSON and Arrow have types of Hive."""

import pyarrow as pa
import pytest

from recsys_platform.catalog.hive_types import arrow_type, columns_of, joined
from recsys_platform.catalog.json_schema import discover


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", "string"),
        (1, "bigint"),
        (1.5, "double"),
        (True, "boolean"),
        (None, "string"),
        ("2026-11-20T05:00:00Z", "string"),
        ([], "array<string>"),
        ([1, 2.5], "array<double>"),
        ([1, "a"], "array<string>"),
        ([{"id": 1}], "array<struct<id:bigint>>"),
        ([[1.5]], "array<array<double>>"),
        ([[{"id": 1}]], "array<array<struct<id:bigint>>>"),
        ({}, "string"),
        ({"a": {"b": [1]}}, "struct<a:struct<b:array<bigint>>>"),
        ({"a.b": 1, "c:d,e": 2}, "struct<a_b:bigint,c_d_e:bigint>"),
    ],
)
def test_json_has_hive_types(value, expected):
    assert columns_of(discover([{"x": value}]).fields) == {"x": expected}


def test_a_field_of_several_types_is_a_string():
    assert columns_of(discover([{"x": 1}, {"x": {"a": 1}}]).fields) == {"x": "string"}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (pa.bool_(), "boolean"),
        (pa.int8(), "tinyint"),
        (pa.int32(), "int"),
        (pa.uint32(), "bigint"),
        (pa.float32(), "float"),
        (pa.date32(), "date"),
        (pa.timestamp("us"), "timestamp"),
        (pa.large_string(), "string"),
        (pa.binary(), "binary"),
        (pa.list_(pa.struct([("a", pa.int64())])), "array<struct<a:bigint>>"),
        (pa.map_(pa.string(), pa.float64()), "map<string,double>"),
    ],
)
def test_arrow_has_hive_types(kind, expected):
    assert arrow_type(kind) == expected


def test_types_are_joined_without_what_another_covers():
    assert joined(["integer"], ["number"]) == ("number",)
    assert joined(["array"], ["array<integer>"], ["array<number>"], ["string"]) == ("array<number>", "string")
