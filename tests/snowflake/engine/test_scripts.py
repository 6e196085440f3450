"""The scripts for administrators: they can be run again, and give no role more than it needs."""

import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from snowflake.connector import connect

from recsys_platform.common.errors import SettingsError
from recsys_platform.config.settings import Settings, load_settings
from recsys_platform.config.snowflake_setup import render_scripts
from tests.support.commands import recsys
from tests.support.snowflake.statements import GIVEN, NETWORKS

_GRANT = re.compile(
    r"grant (?P<rights>[a-z ,]+) on (?:all |future )?(?P<kind>\w+)(?: in schema)? (?P<where>\S+) to role (?P<role>\S+);"
)
WRITES = {"insert", "update", "delete", "truncate", "ownership", "all"}


def grants(settings: Settings) -> list[dict[str, str]]:
    """Every grant of a right, names without their database."""
    text = "\n".join(render_scripts(settings, GIVEN).values())
    found = [match.groupdict() for match in _GRANT.finditer(text)]
    return [
        {name: value.replace(f"{settings.snowflake_database}", "db") for name, value in each.items()} for each in found
    ]


def rights(settings: Settings, role: str) -> dict[str, set[str]]:
    """Schema or object → what a role may do there."""
    of_role: dict[str, set[str]] = {}
    for grant in grants(settings):
        if grant["role"] == f"db_{role}":
            of_role.setdefault(grant["where"], set()).update(right.strip() for right in grant["rights"].split(","))
    return of_role


def test_the_reader_reads_what_is_published_and_nothing_else(settings: Settings) -> None:
    of_reader = rights(settings, "reader")
    assert of_reader == {"db": {"usage"}, "db_serve": {"usage"}, "db.published": {"usage", "select"}}


def test_the_analyst_reads_marts_and_what_is_published_and_nothing_as_landed(settings: Settings) -> None:
    of_analyst = rights(settings, "analyst")
    reads = {"usage", "select"}
    assert of_analyst == {"db": {"usage"}, "db_analysis": {"usage"}, "db.marts": reads, "db.published": reads}


def test_the_scientist_reads_besides_what_ops_keeps_of_models_and_experiments(settings: Settings) -> None:
    assert rights(settings, "scientist") == {"db.ops": {"usage", "select"}}
    texts = "\n".join(render_scripts(settings, GIVEN).values())
    name = settings.snowflake_database
    assert f"grant role {name}_analyst to role {name}_scientist;" in texts


def test_the_loader_writes_raw_and_ops_alone(settings: Settings) -> None:
    of_loader = rights(settings, "loader")
    assert {where for where, what in of_loader.items() if what & WRITES} == {"db.raw", "db.ops"}
    assert not {"db.staging", "db.intermediate", "db.marts", "db.published"} & of_loader.keys()


def test_the_transformer_does_not_write_what_was_landed(settings: Settings) -> None:
    of_transformer = rights(settings, "transformer")
    assert of_transformer["db.raw"] == {"usage", "select"}
    assert not of_transformer["db.raw"] & WRITES


def test_the_scripts_can_be_run_again(settings: Settings, account: dict[str, Any]) -> None:
    with connect(**account) as connection:
        for _ in range(2):
            for text in render_scripts(settings, GIVEN, NETWORKS).values():
                assert all(connection.execute_string(text, remove_comments=True))


def test_a_name_that_is_not_one_word_is_refused_in_one_sentence(settings: Settings) -> None:
    with pytest.raises(SettingsError, match=r"^04_users\.sql needs a value for public_key without quotes or blanks\.$"):
        render_scripts(settings, GIVEN | {"public_key": "x'; drop user y; --"})


@pytest.mark.parametrize(
    "network", ["", "203.0.113.10/33", "203.0.113.10/24", "0.0.0.0/0'); --", "fe80::/10", "example.com"]
)
def test_a_network_that_is_none_is_refused_in_one_sentence(settings: Settings, network: str) -> None:
    with pytest.raises(SettingsError, match=r" is not an IPv4 network: write it as 203\.0\.113\.10/32\.$"):
        render_scripts(settings, GIVEN, [network])


def test_service_users_sign_in_from_the_networks_that_are_given(settings: Settings) -> None:
    policy = render_scripts(settings, GIVEN, NETWORKS)["07_network.sql"]
    assert policy.count("allowed_ip_list = ('203.0.113.10/32', '203.0.113.11/32')") == 2
    assert "07_network.sql" not in render_scripts(settings, GIVEN)


def test_a_role_that_the_scripts_make_for_a_part_is_refused(variables: dict[str, str]) -> None:
    settings = load_settings(variables | {"RECSYS_SNOWFLAKE_DATABASE": "R", "RECSYS_SNOWFLAKE_ROLE": "r_Loader"})
    with pytest.raises(SettingsError, match="RECSYS_SNOWFLAKE_ROLE=r_Loader is a role that the scripts create"):
        render_scripts(settings, GIVEN)


def test_the_command_writes_them_with_the_names_of_the_settings(
    variables: dict[str, str], private_key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (variables | {"RECSYS_SNOWFLAKE_DATABASE": "READING"}).items():
        monkeypatch.setenv(name, value)
    public = load_pem_private_key(private_key.encode(), None).public_key()
    key = tmp_path / "key.pub"
    key.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    command = ("--hub-role-arn", GIVEN["hub_role_arn"], "--public-key", str(key), "--out", str(tmp_path / "out"))
    assert recsys("snowflake", "setup-scripts", *command, patch=monkeypatch) == 0
    written = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert len(written) == 6
    assert "create database if not exists READING " in written["02_database.sql"]
    assert not any("<%" in text for text in written.values())
