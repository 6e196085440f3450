"""What is a reason to rebuild a model whole, and what is not."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.dbt_world import PROJECT, World, failures

MODEL, MACRO, DEEPER = "models/staging/stg_segment__events.sql", "macros/privacy.sql", "macros/time.sql"
SEARCH = {
    "type": "track",
    "event": "Books Searched",
    "messageId": "m1",
    "userId": "u1",
    "timestamp": "2026-11-22T10:00:00Z",
    "properties": {"query": "ann@mail.example"},
}
QUERIES = "select query from staging.stg_segment__events order by 1"

SAME = {
    "select a, b": "select a ,\n\n\tb -- the reader's book\n",
    "{% if x %}a{% endif %}": "{# it's gone #}{% if x %}\n    a{# \n x #}\n{% endif %}",
    "f(x) || '--'": "/* once\n 'twice' */ f( x ) || '--' -- '",
    "case when a='b  c' then 1 end": "case when a = 'b  c'\nthen 1 end",
    'select "a -- b"': 'select  "a -- b"  --"',
}
OTHER = {
    "select 'a b'": "select 'a  b'",
    "select '-- a'": "select '-- b'",
    "select '/* a */'": "select '/* b */'",
    "select a": "select A",
    "select ab": "select a b",
    "select '' -- a'": "select '' -- a'\n, b",
    'select "a  b"': 'select "a b"',
    "select 1 -- {{ ref('a') }}": "select 1 -- {{ ref('b') }}",
    "select 'it\\'s -- a'": "select 'it\\'s -- b'",
    "select $$ ' $$, '-- a'": "select $$ ' $$, '-- b'",
}


def tokens_of(world: World, *codes: str) -> list[str]:
    """What `without_comments` leaves of each text."""
    inline = f"{{% for code in {json.dumps(codes)} %}}{{{{ tojson(without_comments(code)) }}}}\n{{% endfor %}}"
    result: Any = world.dbt("compile", "--inline", inline)
    return [line for line in result.result.results[0].node.compiled_code.split("\n") if line]


@pytest.mark.slow
def test_comments_and_blanks_do_not_count_and_all_else_does(world: World) -> None:
    pairs = [*SAME.items(), *OTHER.items()]
    left = tokens_of(world, *(code for pair in pairs for code in pair))
    equal = [one == other for one, other in zip(left[::2], left[1::2], strict=True)]
    assert dict(zip(pairs, equal, strict=True)) == dict.fromkeys(SAME.items(), True) | dict.fromkeys(
        OTHER.items(), False
    )


@pytest.fixture(scope="module")
def pristine(new_world: Callable[[], World], tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world with a project of its own, which dbt has parsed and built one model of."""
    world = new_world()
    world.manifest, world.project = None, tmp_path_factory.mktemp("edited") / "dbt_project"
    shutil.copytree(PROJECT, world.project, ignore=shutil.ignore_patterns("target", "logs"))
    world.load("segment", SEARCH)
    world.build("--select", "stg_segment__events")
    assert world.rows(QUERIES) == [("[email]",)]
    return world


@pytest.fixture
def world(pristine: World, tmp_path: Path) -> Iterator[World]:
    """The same world for each test, put back afterwards: in another place dbt would parse all of the project anew."""
    folders = (pristine.home, pristine.project)
    for folder in folders:
        shutil.copytree(folder, tmp_path / "kept" / folder.name)
    yield pristine
    for folder in folders:
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "kept" / folder.name, folder)


@pytest.fixture
def edit(world: World) -> Callable[..., None]:
    """Replace a text in a file of the world's project."""

    def replace(file: str, old: str, new: str) -> None:
        path = world.project / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return replace


@pytest.mark.slow
def test_a_mended_macro_mends_what_was_loaded_before_and_a_comment_rebuilds_nothing(
    world: World, edit: Callable[..., None]
) -> None:
    edit(MACRO, "'[email]'", "'[mail]'")
    world.build("--select", "stg_segment__events")
    assert world.rows(QUERIES) == [("[mail]",)], "by a macro that another one dispatches to"

    with world.connect() as con:
        con.execute("update staging.stg_segment__events set query = 'kept'")
    edit(MACRO, "then regexp_replace(", "-- the reader's address\n        then   regexp_replace(")
    edit(MODEL, "select * from final", "\n\n{# it's all #}\nselect *\nfrom final")
    edit(DEEPER, "{% macro", "\n{# read me #}\n{%   macro")
    world.build("--select", "stg_segment__events")
    assert world.rows(QUERIES) == [("kept",)]


@pytest.mark.slow
def test_a_large_table_is_rebuilt_only_when_asked_for(
    world: World, edit: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(MACRO, "'[email]'", "'[mail]'")
    monkeypatch.setenv("RECSYS_REBUILD_UP_TO_ROWS", "0")
    selected = ("run", "--select", "stg_segment__events")
    [said] = failures(world.dbt(*selected))
    assert "stg_segment__events has 1 rows, and its code" in said
    assert "only when asked for: `recsys run --all`" in said
    assert world.rows(QUERIES) == [("[email]",)]
    assert world.dbt(*selected, "--full-refresh").success
    assert world.rows(QUERIES) == [("[mail]",)]
    assert world.dbt(*selected).success


@pytest.mark.slow
def test_a_macro_that_only_later_builds_call_is_a_reason(world: World, edit: Callable[..., None]) -> None:
    edit(MODEL, "select * from final", "select * from final{% if is_incremental() %} where {{ late() }}{% endif %}")
    first = "{% macro timestamp_from_iso("
    edit(DEEPER, first, "{% macro late() %}1 = 1{% endmacro %}\n" + first)
    world.build("--select", "stg_segment__events")
    with world.connect() as con:
        con.execute("update staging.stg_segment__events set query = 'kept'")
    world.build("--select", "stg_segment__events")
    assert world.rows(QUERIES) == [("kept",)]
    edit(DEEPER, "1 = 1", "2 = 2")
    world.build("--select", "stg_segment__events")
    assert world.rows(QUERIES) == [("[email]",)]


@pytest.mark.slow
def test_a_variable_is_a_reason_where_it_is_named_and_nowhere_else(
    world: World, edit: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(MODEL, "select * from final", "-- {{ var('clock_ahead_hours') }}\nselect * from final")
    world.build("--select", "stg_segment__events")
    monkeypatch.setenv("RECSYS_REBUILD_UP_TO_ROWS", "0")
    edit("dbt_project.yml", "liked_from: ", "liked_from: 1")
    assert world.dbt("run", "--select", "stg_segment__events").success
    edit("dbt_project.yml", "clock_ahead_hours: ", "clock_ahead_hours: 1")
    [said] = failures(world.dbt("run", "--select", "stg_segment__events"))
    assert "stg_segment__events has 1 rows" in said
