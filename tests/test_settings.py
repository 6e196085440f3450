import traceback
from pathlib import Path

import pytest

from recsys_platform.common.errors import SettingsError
from recsys_platform.config.factories import hub_of, prepare_home, queue_of
from recsys_platform.config.settings import Settings, load_settings
from recsys_platform.hub.sqs import LandingQueue

SALT = "salt-of-the-tests-0123456789"
AWS = {
    "RECSYS_ENV": "aws",
    "RECSYS_HUB": "s3://bucket/world",
    "RECSYS_SNOWFLAKE_ACCOUNT": "myorg-myaccount",
    "RECSYS_SNOWFLAKE_USER": "recsys",
    "RECSYS_SNOWFLAKE_PRIVATE_KEY": "PEM text",  # pragma: allowlist secret
    "RECSYS_MLFLOW_URI": "https://mlflow.example.com",
}


def test_an_empty_environment_gives_a_local_world_with_everything_switched_off():
    settings = load_settings({})
    assert (settings.env, settings.home, settings.automation) == ("local", Path(".recsys").resolve(), "off")


def test_an_unknown_setting_is_named_with_the_one_that_was_meant():
    with pytest.raises(SettingsError, match=r"Unknown setting RECSYS_HOMME: did you mean RECSYS_HOME\?"):
        load_settings({"RECSYS_HOMME": "/tmp/x"})  # noqa: S108


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RECSYS_LIST_LENGTH", "0"),
        ("RECSYS_USERS_URL", "nowhere"),
        ("RECSYS_ENV", "mars"),
        ("RECSYS_AUTOMATION", "maybe"),
        ("RECSYS_HUB", "s3:/bucket"),
        ("RECSYS_HUB", "s3://No_Bucket/x"),
        ("RECSYS_LANDING_QUEUE", "https://sqs.eu-west-1.amazonaws.com/1/landing"),
        ("RECSYS_ALERT_TOPIC", "alerts"),
        ("RECSYS_ALERT_TOPIC", "arn:aws:sns:eu-west-1:123456789012:alerts.fifo"),
        ("RECSYS_UI_URL", "dagster"),
        ("RECSYS_API_LIMITS", "free=5/20"),
        ("RECSYS_API_ORIGINS", "app.example.com"),
        ("RECSYS_API_ORIGINS", "*"),
        ("RECSYS_API_ORIGINS", "https://app.example.com/path"),
        ("RECSYS_API_LIMITS", "free=5/2 premium=50/200 partner=500/2000"),
        ("RECSYS_DUCKDB_MEMORY_LIMIT", "4"),
        ("RECSYS_DUCKDB_MEMORY_LIMIT", "80%"),
        ("RECSYS_DUCKDB_MEMORY_LIMIT", "1MB"),
        ("RECSYS_DUCKDB_TEMP_LIMIT", "-1"),
        ("RECSYS_DUCKDB_TEMP_LIMIT", "4 GB; attach"),
    ],
)
def test_a_bad_value_is_named_in_one_sentence(name, value):
    with pytest.raises(SettingsError) as error:
        load_settings({name: value})
    assert str(error.value).startswith(f"{name}='{value}' is not valid: ")
    assert "\n" not in str(error.value)


def test_the_hub_is_a_folder_of_the_world_or_a_bucket():
    assert load_settings({"RECSYS_HOME": "/w"}).hub_place == Path("/w/hub")
    queue = "https://sqs.eu-west-1.amazonaws.com/1/landing"
    settings = load_settings({"RECSYS_HUB": "s3://bucket/a/b/", "RECSYS_LANDING_QUEUE": queue})
    assert hub_of(settings).where("k") == "s3://bucket/a/b/k"
    assert queue_of(settings) == LandingQueue(queue, "a/b")


def test_a_salt_that_is_too_short_is_refused_without_being_shown():
    with pytest.raises(SettingsError, match=r"^RECSYS_PII_SALT is not valid: give it at least 16 characters") as error:
        load_settings({"RECSYS_PII_SALT": SALT[:15]})
    assert SALT[:15] not in "".join(traceback.format_exception(error.value))


def test_the_salt_is_never_shown():
    settings = load_settings({"RECSYS_PII_SALT": SALT})
    assert settings.pii_salt is not None
    assert settings.pii_salt.get_secret_value() == SALT
    assert SALT not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


def test_another_bad_setting_does_not_show_the_salt():
    with pytest.raises(SettingsError) as error:
        load_settings({"RECSYS_PII_SALT": SALT, "RECSYS_LIST_LENGTH": "0"})
    assert SALT not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize(
    "webhook", ["http://hooks.example.com/key", "hooks.example.com/key", "https://hooks.example.com"]
)
def test_a_webhook_that_is_not_encrypted_is_refused_without_being_shown(webhook):
    with pytest.raises(
        SettingsError, match=r"^RECSYS_ALERT_WEBHOOK is not valid: give it the https:// address"
    ) as error:
        load_settings({"RECSYS_ALERT_WEBHOOK": webhook})
    assert "hooks.example" not in "".join(traceback.format_exception(error.value))


def test_where_alerts_go_is_set_by_topic_webhook_and_ui():
    topic, webhook = "arn:aws:sns:eu-west-1:123456789012:alerts", "https://hooks.example.com/services/key"
    settings = load_settings({"RECSYS_ALERT_TOPIC": topic, "RECSYS_ALERT_WEBHOOK": webhook})
    assert settings.alert_topic == topic
    assert settings.alert_webhook is not None
    assert settings.alert_webhook.get_secret_value() == webhook
    assert webhook not in f"{settings!r} {settings.model_dump_json()}"


def test_variables_of_others_are_nobody_elses_business():
    assert load_settings({"PATH": "x", "RECSYS_LIST_LENGTH": "7"}).list_length == 7


def test_a_home_that_cannot_be_made_is_said_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be written"):
        prepare_home(load_settings({"RECSYS_HOME": str(tmp_path / "file" / "home")}))


def test_a_world_gets_its_own_dagster_settings(tmp_path):
    settings = load_settings({"RECSYS_HOME": str(tmp_path / "world")})
    prepare_home(settings)
    assert "default_limit: 1" in (settings.dagster_home / "dagster.yaml").read_text()


def test_every_setting_is_documented_with_its_default_and_meaning():
    page = (Path(__file__).parents[1] / "docs" / "settings.md").read_text()
    for name, field in Settings.model_fields.items():
        default = "none" if field.default is None else f"`{field.default}`"
        assert f"| `RECSYS_{name.upper()}` | {default} | {field.description} |" in page


def test_in_production_the_instance_is_the_one_that_dagster_names_and_its_file_stays_as_it_is(tmp_path):
    given = AWS | {"RECSYS_HOME": str(tmp_path / "home"), "DAGSTER_HOME": str(tmp_path / "instance")}
    settings = load_settings(given)
    assert settings.dagster_home == tmp_path / "instance"
    prepare_home(settings)
    assert not settings.dagster_home.exists()
    assert load_settings(given | {"RECSYS_ENV": "local"}).dagster_home == tmp_path / "home" / "dagster"


def test_a_dagster_yaml_that_a_person_changed_is_kept_and_one_that_nobody_changed_follows_ours(tmp_path, monkeypatch):
    settings = load_settings({"RECSYS_HOME": str(tmp_path)})
    shipped, own = tmp_path / "shipped.yaml", tmp_path / "dagster" / "dagster.yaml"
    monkeypatch.setattr("recsys_platform.config.factories.DAGSTER_YAML", shipped)
    for text in ("# first", "# second"):
        shipped.write_text(text)
        prepare_home(settings)
        assert own.read_text() == text
    own.write_text("# second, and a line of mine")
    for text in ("# second", "# third"):
        shipped.write_text(text)
        prepare_home(settings)
        assert own.read_text() == "# second, and a line of mine"


def test_the_settings_of_aws_are_enough():
    assert load_settings(AWS).warehouse_place == "myorg-myaccount/RECSYS"


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("RECSYS_HUB", "data hub in S3, `s3://bucket/prefix`"),
        ("RECSYS_SNOWFLAKE_ACCOUNT", "account identifier, such as `myorg-myaccount`"),
        ("RECSYS_SNOWFLAKE_USER", "Snowflake service user with key-pair authentication"),
        ("RECSYS_SNOWFLAKE_PRIVATE_KEY", "secret private key of that user in PEM format"),
        ("RECSYS_MLFLOW_URI", "URL of the MLflow server that stores model versions"),
    ],
)
def test_what_is_missing_for_aws_is_named_with_what_it_is(name, what):
    with pytest.raises(SettingsError) as error:
        load_settings({other: value for other, value in AWS.items() if other != name})
    assert str(error.value) == f"{name} is missing, which RECSYS_ENV=aws needs: {what}."


def test_what_is_missing_does_not_bring_the_secrets_that_are_there_to_light():
    given = {name: value for name, value in AWS.items() if name != "RECSYS_HUB"}
    with pytest.raises(SettingsError) as error:
        load_settings(given | {"RECSYS_PII_SALT": SALT, "RECSYS_SNOWFLAKE_PRIVATE_KEY": SALT[::-1]})
    told = "".join(traceback.format_exception(error.value))
    assert (SALT in told, SALT[::-1] in told) == (False, False)


@pytest.mark.parametrize("name", ["RECSYS_SNOWFLAKE_PRIVATE_KEY", "RECSYS_SNOWFLAKE_PASSPHRASE"])
def test_a_key_and_its_passphrase_are_never_shown(name):
    settings = load_settings(AWS | {name: SALT})
    assert SALT not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


@pytest.mark.parametrize("name", ["RECSYS_PARAMETERS", "RECSYS_SECRET"])
def test_a_place_of_settings_that_is_misspelt_is_named_with_the_one_that_was_meant(name):
    with pytest.raises(SettingsError, match=rf"Unknown setting {name}X: did you mean {name}\?"):
        load_settings({f"{name}X": "x"})


def test_the_example_of_an_environment_names_every_setting_and_holds_no_secret():
    lines = (Path(__file__).parents[1] / ".env.example").read_text().splitlines()
    named = dict(line.removeprefix("# ").split("=", 1) for line in lines if line.startswith("# RECSYS_"))
    known = {f"RECSYS_{name.upper()}": field for name, field in Settings.model_fields.items()}
    assert set(named) == set(known) | {"RECSYS_PARAMETERS", "RECSYS_SECRET"}
    assert {name: named[name] for name, field in known.items() if field.default is not None} == {
        name: str(field.default) for name, field in known.items() if field.default is not None
    }
    assert [name for name, value in named.items() if value and (name not in known or known[name].default is None)] == []
