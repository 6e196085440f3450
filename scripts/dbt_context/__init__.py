"""What dbt gives to Jinja and sqlfluff does not, so that the models are linted as SQL of either engine.

sqlfluff imports this as its `library_path` (`.sqlfluff`). `RECSYS_ENV` chooses the engine, as it does for dbt. No warehouse is opened:
a query that a macro runs finds nothing. Every model counts as incremental, which is its longer form. The macros in the files named by
`exclude_macros_from_path` write one long expression each. Here they write a call of their own name, which is faster to lint by far.
"""

import datetime
import os
import re
from collections.abc import Callable
from configparser import ConfigParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytz
import yaml
from jinja2 import pass_context
from jinja2.runtime import Context

_ROOT = Path(__file__).resolve().parents[2]
_ENGINE = "snowflake" if os.environ.get("RECSYS_ENV") == "aws" else "duckdb"
_MACRO = re.compile(r"{%-? macro (\w+)")


class _Adapter:
    """The adapter of the engine: it chooses among macros, and has no relation."""

    @pass_context
    def dispatch(self, context: Context, name: str) -> Callable[..., Any]:
        """The macro of this engine."""
        macro: Callable[..., Any] = context.resolve(f"{_ENGINE}__{name}")
        return macro

    def get_relation(self, *_: Any) -> None:
        """No table exists."""


def _call_of(name: str) -> Callable[..., str]:
    """A macro that writes `name(…)`, a list among its arguments as its elements."""

    def call(*arguments: Any, **options: Any) -> str:
        texts = [each for argument in arguments for each in (argument if isinstance(argument, list) else [argument])]
        return f"{name}({', '.join(map(str, texts))})"

    return call


def _names_of_macros(files: str) -> list[str]:
    return [name for file in files.split(",") for name in _MACRO.findall((_ROOT / file.strip()).read_text("utf-8"))]


def _raise_compiler_error(message: str) -> None:
    raise ValueError(message)


_settings = ConfigParser()
_settings.read(_ROOT / ".sqlfluff", encoding="utf-8")
globals().update(
    {
        name: _call_of(name)
        for name in _names_of_macros(_settings["sqlfluff:templater:jinja"]["exclude_macros_from_path"])
    }
)

_variables = yaml.safe_load((_ROOT / "dbt_project" / "dbt_project.yml").read_text("utf-8"))["vars"]

adapter = _Adapter()
dbt = SimpleNamespace(**{name: _call_of(name) for name in ("dateadd", "datediff", "date_trunc")})
exceptions = SimpleNamespace(raise_compiler_error=_raise_compiler_error)
execute = False
model = SimpleNamespace(name="fct_events", resource_type="model", config=SimpleNamespace(materialized="incremental"))
modules = SimpleNamespace(datetime=datetime, pytz=pytz, re=re)
target = SimpleNamespace(type=_ENGINE)
var = _variables.__getitem__


def run_query(_: str) -> None:
    """No query is run."""


context: dict[str, Any] = {"_model_builds": {}, "_code_fingerprint": "linted"}
"""The context of a dbt node, in which macros keep what they found: no build is recorded."""
