"""The list of crawlers is that of the package crawler-user-agents; `python -m tests.dbt.test_crawlers` writes it anew."""

import re
from importlib.metadata import version
from typing import Any

import duckdb
import pyarrow as pa
from crawleruseragents import CRAWLER_USER_AGENTS_DATA as CRAWLERS

from tests.support.dbt_world import PROJECT
from tests.support.user_agents import READERS

MACRO = PROJECT / "macros" / "crawlers.sql"
OF_READERS = {"okhttp", "MetaIAB Facebook", "Fluid"}
"""In the list, and sent by apps and browsers that people read with."""
HEADER = """{{#
    Patterns of crawlers, without those that a word in bots.sql finds anyway: from crawler-user-agents {version} (MIT,
    Martin Monperrus).
    Written by `python -m tests.dbt.test_crawlers`; do not edit.
#}}
{{% macro known_crawlers() -%}}
    {{{{ return([
"""
REWRITTEN = {r"\/": "/", r"[\s\S]": ".", r"\s": "[[:space:]]", r"\d": "[0-9]", "'": "."}
"""What means the same, or nearly, without backslashes and quotes, which engines read differently in a text."""


def portable(pattern: str) -> str:
    for old, new in REWRITTEN.items():
        pattern = pattern.replace(old, new)
    return re.sub(r"\\([^A-Za-z0-9])", r"[\1]", pattern)


def our_words() -> re.Pattern[str]:
    """The words of bots.sql."""
    block = (PROJECT / "macros" / "bots.sql").read_text().split("set patterns = [")[1].split("] -%}")[0]
    return re.compile("|".join(re.findall("'([^']+)'", block)), re.IGNORECASE)


def macro() -> str:
    """The file as it should be."""
    words = our_words()
    named = (entry["pattern"] for entry in CRAWLERS if entry["pattern"] not in OF_READERS)
    patterns = sorted({portable(each) for each in named if not words.search(re.sub(r"[\[\]^\\]", "", each))})
    lines = "".join(f"        '{pattern}',\n" for pattern in patterns)
    return f"{HEADER.format(version=version('crawler-user-agents'))}{lines}    ]) }}}}\n{{%- endmacro %}}\n"


def test_the_list_is_that_of_the_package() -> None:
    assert MACRO.read_text() == macro()


def test_every_known_crawler_is_a_bot_and_no_browser_of_readers_is(world: Any) -> None:
    result = world.dbt("compile", "--inline", "select u, {{ looks_like_a_bot('u') }} as is_bot from agents")
    known = [agent for entry in CRAWLERS for agent in entry.get("instances", []) if entry["pattern"] not in OF_READERS]
    with duckdb.connect() as con:
        con.register("agents", pa.table({"u": [*known, *READERS]}))
        rows = con.execute(result.result.results[0].node.compiled_code).fetchall()
    assert len(known) > 2_000
    assert [agent for agent, is_bot in rows if is_bot != (agent not in READERS)] == []


if __name__ == "__main__":
    MACRO.write_text(macro())
