"""The code version of a dbt model: a hash of everything that affects its rows, and nothing else.

Belongs here: which parts of dbt's manifest count. Does not: when a table is fully rebuilt (rebuilding.sql, which counts the same).
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

_REBUILDING = "rebuilding.sql"  # its macros do not affect rows
_JINJA_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
_TOKEN = re.compile(r"--[^\n]*|/\*.*?\*/|'[^']*'|\"[^\"]*\"|\w+|\s+|.", re.DOTALL)
_VARIABLE = re.compile(r"\bvar\s*\(\s*['\"]\s*(\w+)")
_CALL = re.compile(r"\b([A-Za-z_]\w*)\s*\(")


def code_version(manifest: Mapping[str, Any], unique_id: str, variables: Mapping[str, Any]) -> str:
    """A hash of a model's code, the project's macros it uses, and the values of the variables used in these."""
    node = manifest["nodes"][unique_id]
    code = without_comments(node["raw_code"])
    macros = _macro_code(
        manifest, unique_id.split(".")[1], [*node["depends_on"]["macros"], *_called_macros(node, code)]
    )
    parts = [code, *(f"{name} {macros[name]}" for name in sorted(macros))]
    named = sorted({name for part in parts for name in _VARIABLE.findall(part)} & variables.keys())
    parts += [f"{name}={variables[name]}" for name in named]
    return hashlib.sha1("\n".join(parts).encode(), usedforsecurity=False).hexdigest()


@cache  # a macro is part of many models
def without_comments(code: str) -> str:
    """The tokens of the code, without comments. Quoted text is kept, and so are SQL comments that contain Jinja."""
    if any(mark in code for mark in ("\\'", '\\"', "$$")):
        return code
    kept = (each for each in _TOKEN.findall(_JINJA_COMMENT.sub(" ", code)) if each.strip())
    return " ".join(each for each in kept if not each.startswith(("--", "/*")) or "{{" in each or "{%" in each)


def _called_macros(node: Mapping[str, Any], code: str) -> Iterator[str]:
    """The macros that the code calls: dbt's manifest lists none of those behind `is_incremental()`."""
    return (f"macro.{node['package_name']}.{name}" for name in _CALL.findall(code))


def _macro_code(manifest: Mapping[str, Any], package: str, unique_ids: Iterable[str]) -> dict[str, str]:
    """The code of a package's macros and of the macros that they use, by id."""
    found: dict[str, str] = {}
    waiting = list(unique_ids)
    while waiting:
        unique_id = waiting.pop()
        macro = manifest["macros"].get(unique_id)
        is_ours = macro and macro["package_name"] == package and not macro["original_file_path"].endswith(_REBUILDING)
        if is_ours and unique_id not in found:
            found[unique_id] = without_comments(macro["macro_sql"])
            waiting += macro["depends_on"]["macros"]
    return found
