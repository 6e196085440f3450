"""Passes over a statement that can change nothing in it, left out: three quarters of the server's time went there.

fakesnow goes over each statement 74 times, each time to change expressions of one or a few kinds, most of which few statements have.
Belongs here: which pass concerns what. Does not: what a pass does.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Self

from fakesnow.cursor import FakeSnowflakeCursor
from sqlglot import exp

from tests.support.snowflake.patches.replacing import around

Kinds = tuple[type[exp.Expression], ...]

CONCERNS: dict[str, Kinds] = {
    "alias_in_join": (exp.Join,),
    "alias_in_where": (exp.Where,),
    "alter_session": (exp.Alter,),
    "alter_table_strip_cluster_by": (exp.Alter, exp.Command),
    "array_agg": (exp.ArrayAgg,),
    "array_agg_within_group": (exp.WithinGroup,),
    "array_construct_etc": (exp.Array, exp.ArrayConcat, exp.ArrayConstructCompact),
    "array_size": (exp.ArraySize,),
    "create_clone": (exp.Clone,),
    "create_database": (exp.Create,),
    "create_file_format": (exp.Create,),
    "create_stage": (exp.Create,),
    "create_table_as": (exp.Create,),
    "create_user": (exp.Command,),
    "current_version": (exp.CurrentVersion,),
    "dateadd_date_cast": (exp.DateAdd,),
    "dateadd_string_literal_timestamp_cast": (exp.DateAdd,),
    "datediff_string_literal_timestamp_cast": (exp.DateDiff,),
    "drop_schema_cascade": (exp.Drop,),
    "extract_comment_on_columns": (exp.Alter,),
    "extract_comment_on_table": (exp.Alter, exp.Comment, exp.Create),
    "extract_text_length": (exp.Alter, exp.Create),
    "flatten": (exp.Lateral, exp.TableFromRows),
    "flatten_value_cast_as_varchar": (exp.Cast,),
    "float_to_double": (exp.DataType,),
    "haversine": (exp.Anonymous,),
    "hex_string": (exp.HexString,),
    "identifier": (exp.Table,),
    "indices_to_json_extract": (exp.Bracket,),
    "information_schema_databases": (exp.Table,),
    "information_schema_fs": (exp.Table,),
    "json_extract_cased_as_varchar": (exp.JSONExtract,),
    "json_extract_cast_as_varchar": (exp.JSONExtract,),
    "json_extract_precedence": (exp.JSONExtract, exp.JSONExtractScalar),
    "list_stage": (exp.ListStage,),
    "numeric_agg_implicit_cast": (exp.AggFunc,),
    "object_agg": (exp.ObjectAgg,),
    "object_construct": (exp.JSONObject, exp.StarMap, exp.Struct),
    "put_stage": (exp.Put,),
    "random": (exp.Rand,),
    "regex_replace": (exp.RegexpReplace,),
    "regex_substr": (exp.RegexpExtract,),
    "result_scan": (exp.TableFromRows,),
    "sample": (exp.TableSample,),
    "semi_structured_types": (exp.DataType,),
    "set_schema": (exp.Use,),
    "sha256": (exp.Anonymous, exp.SHA2, exp.SHA2Digest),
    "show_columns": (exp.Show,),
    "show_databases": (exp.Show,),
    "show_functions": (exp.Command, exp.Show),
    "show_keys": (exp.Show,),
    "show_parameters": (exp.Command,),
    "show_procedures": (exp.Show,),
    "show_schemas": (exp.Show,),
    "show_sequences": (exp.Show,),
    "show_stages": (exp.Show,),
    "show_tables_etc": (exp.Show,),
    "show_users": (exp.Show,),
    "show_warehouses": (exp.Show,),
    "split": (exp.Split,),
    "tag": (exp.Alter, exp.Command, exp.Create, exp.Drop),
    "timestamp_ntz": (exp.DataType,),
    "timestamp_offsets": (exp.Cast,),
    "to_date": (exp.Anonymous,),
    "to_decimal": (exp.ToNumber,),
    "to_timestamp": (exp.Anonymous, exp.Cast, exp.UnixToTime),
    "to_variant": (exp.ToVariant,),
    "trim_cast_varchar": (exp.Trim,),
    "try_parse_json": (exp.Anonymous,),
    "values_columns": (exp.Values,),
}
"""The kinds of which a statement must have one for a pass to change it. What is not named here is done to every statement."""


class Passes:
    """Stands for a statement while fakesnow goes over it."""

    def __init__(self, statement: exp.Expression) -> None:
        self.statement = statement
        self.kinds_below = _kinds_below(statement)

    def transform(self, change: Callable[..., Any], *, copy: bool, **given: Any) -> Self:
        """One pass, if it can change anything: all of the statement or just its top. What it puts in may concern a later one."""
        name = name_of(change)
        if any(_concerns(name, kind) for kind in self.kinds_below):
            self.statement = self.statement.transform(change, copy=copy, **given)
        elif _concerns(name, type(self.statement)):
            self.statement = change(self.statement, **given)
        else:
            return self
        self.kinds_below = _kinds_below(self.statement)
        return self


def install() -> None:
    """Put in place first: patches of passes are those of statements."""
    around(FakeSnowflakeCursor, "_transform", _as_far_as_concerned)


def _as_far_as_concerned(
    theirs: Any, cursor: FakeSnowflakeCursor, statement: exp.Expression, *args: Any
) -> exp.Expression:
    done: exp.Expression = theirs(cursor, Passes(statement), *args).statement
    return done


def name_of(change: Callable[..., Any]) -> str:
    """The name of a pass; some are called by a lambda, `lambda e: transforms.show_schemas(e, …)`."""
    name = change.__name__
    return change.__code__.co_names[1] if name == "<lambda>" else name


@cache
def _concerns(name: str, kind: type[exp.Expression]) -> bool:
    return name not in CONCERNS or issubclass(kind, CONCERNS[name])


def _kinds_below(statement: exp.Expression) -> set[type[exp.Expression]]:
    nodes = statement.walk()
    next(nodes)
    return {type(node) for node in nodes}
