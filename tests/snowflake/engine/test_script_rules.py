"""Rules of Snowflake's that the server for tests does not know, read from its documentation and held to the text of the scripts."""

import re
from collections.abc import Iterator

import pytest
import sqlglot
from sqlglot import exp

from recsys_platform.config.settings import Settings
from recsys_platform.config.snowflake_setup import render_scripts
from recsys_platform.recommender.lists.contracts import TABLES
from tests.support.snowflake.statements import GIVEN, NETWORKS

# sqlglot takes these as a word and some text behind it: that they parse says nothing of them.
ONLY_A_COMMAND = {
    "alter network policy",
    "alter user",
    "alter warehouse",
    "create network policy",
    "create pipe",
    "create resource monitor",
    "create role",
    "create schema",
    "create share",
    "create user",
    "grant",
}
_KIND = re.compile(
    r"(?:create|alter) (?:resource monitor|network policy|storage integration|file format|\w+)|grant|describe|use",
    re.IGNORECASE,
)
_OBJECT_IN_SCHEMA = re.compile(r"grant .* on (all |future )?(tables?|views?|stage|file format|pipe) .* to role ")


@pytest.fixture
def texts(settings: Settings) -> dict[str, str]:
    """With the default names, which must not clash."""
    names = ("role", "warehouse", "database", "stage")
    defaults = {f"snowflake_{name}": Settings.model_fields[f"snowflake_{name}"].default for name in names}
    return render_scripts(settings.model_copy(update=defaults), GIVEN, NETWORKS)


def statements(texts: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Role in force, statement on one line without comments."""
    for text in texts.values():
        role = ""
        for said in re.sub(r"--[^\n]*", "", text).split(";"):
            statement = " ".join(said.split())
            role = statement.removeprefix("use role ") if statement.startswith("use role ") else role
            if statement:
                yield role, statement


def test_every_statement_parses_and_those_that_parse_as_a_command_alone_are_known(texts: dict[str, str]) -> None:
    found = set()
    for _, statement in statements(texts):
        kind = _KIND.match(statement)
        assert kind, statement
        if isinstance(sqlglot.parse_one(statement, dialect="snowflake"), exp.Command):
            found.add(kind[0].lower())
    assert found == ONLY_A_COMMAND


def test_no_name_is_left_to_fill_in(texts: dict[str, str]) -> None:
    assert not [name for name, text in texts.items() if re.search(r"<%|%>|<\w+>|&\{?\w+", text)]


def test_every_script_says_first_which_role_it_needs(texts: dict[str, str]) -> None:
    assert [statement for role, statement in statements(texts) if not role] == []


def test_what_is_created_may_be_there_already(texts: dict[str, str]) -> None:
    created = [statement for _, statement in statements(texts) if statement.startswith("create ")]
    assert len(created) > 20
    assert [statement for statement in created if " if not exists " not in statement] == []


def test_rights_to_what_is_in_a_schema_with_managed_access_are_granted_by_who_manages_grants(
    texts: dict[str, str],
) -> None:
    granted = [(role, said) for role, said in statements(texts) if _OBJECT_IN_SCHEMA.match(said)]
    assert len(granted) > 10
    assert {role for role, _ in granted} == {"securityadmin"}


def test_views_are_shared_one_by_one(texts: dict[str, str]) -> None:
    """A share takes all views of a schema at once only if it may hold views that are not secure."""
    shared = [said for _, said in statements(texts) if said.startswith("grant select") and " to share " in said]
    assert sorted(said.split()[4] for said in shared) == sorted(f"RECSYS.published.{name}" for name in TABLES)


def test_nobody_may_pass_a_right_on_or_has_all_rights(texts: dict[str, str]) -> None:
    for _, statement in statements(texts):
        if statement.startswith("grant "):
            assert not re.search(r"with grant option|ownership|grant all\b|to role public", statement), statement


def test_no_role_is_granted_to_itself(texts: dict[str, str]) -> None:
    pairs = re.findall(r"grant role (\S+) to role (\S+);", "\n".join(texts.values()))
    assert len(pairs) > 3
    assert [pair for pair in pairs if pair[0].upper() == pair[1].upper()] == []


def test_history_is_kept_no_longer_than_every_edition_allows(texts: dict[str, str]) -> None:
    """More than one day is refused by the Standard edition."""
    days = re.findall(r"data_retention_time_in_days = (\d+)", "\n".join(texts.values()))
    assert days
    assert max(int(each) for each in days) <= 1


def test_a_user_of_a_service_has_no_password(texts: dict[str, str]) -> None:
    users = [statement for _, statement in statements(texts) if statement.startswith("create user")]
    assert len(users) == 2
    for statement in users:
        assert " type = service " in statement
        assert "password" not in statement


def test_each_warehouse_has_a_monitor_of_its_own_and_only_serving_is_never_suspended(texts: dict[str, str]) -> None:
    said = [statement for _, statement in statements(texts)]
    monitors = {each.split()[6]: each for each in said if each.startswith("create resource monitor")}
    watched = dict(re.findall(r"alter warehouse (\S+) set resource_monitor = (\S+)", "\n".join(said)))
    warehouses = [each.split()[5] for each in said if each.startswith("create warehouse")]
    assert sorted(watched) == sorted(warehouses)
    assert sorted(watched.values()) == sorted(monitors)
    never = [warehouse for warehouse, monitor in watched.items() if "suspend" not in monitors[monitor]]
    assert never == ["RECSYS_serve"]
