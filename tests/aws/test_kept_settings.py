"""Settings that are kept in SSM Parameter Store and Secrets Manager, and what their errors do not say."""

import json
import traceback
from collections.abc import Iterator

import boto3
import httpx
import pytest

from recsys_platform.common.errors import RecsysError
from recsys_platform.config.settings import load_settings

PATH, SECRET = "/recsys/production", "recsys/production"
SALT = "a salt that only Secrets Manager knows"
KEPT_IN = {"RECSYS_PARAMETERS": PATH, "RECSYS_SECRET": SECRET}


@pytest.fixture(autouse=True)
def forgotten(aws: str) -> Iterator[None]:
    """Every test begins with nothing kept."""
    yield
    httpx.post(f"{aws}/moto-api/reset")


def keep_parameter(name: str, value: str, kind: str = "String") -> None:
    boto3.client("ssm").put_parameter(Name=f"{PATH}/{name}", Value=value, Type=kind)


def keep_secret(text: str) -> None:
    boto3.client("secretsmanager").create_secret(Name=SECRET, SecretString=text)


def refused(**more: str) -> RecsysError:
    """The error, which is one sentence and has no more behind it than it says."""
    with pytest.raises(RecsysError) as error:
        load_settings(KEPT_IN | more)
    assert "\n" not in str(error.value)
    return error.value


def all_that_is_told(error: BaseException) -> str:
    """The traceback with every error that led to this one, also those that Python would leave out."""
    told = "".join(traceback.format_exception(error)) + repr(error) + str(vars(error))
    behind = [each for each in (error.__cause__, error.__context__) if each is not None]
    return told + "".join(all_that_is_told(each) for each in behind)


def test_plain_settings_come_from_the_path_and_secret_ones_from_the_secret() -> None:
    keep_parameter("deeper/list_length", "not ours")
    keep_parameter("snowflake_account", "myorg-myaccount")
    keep_parameter("list_length", "7")
    keep_secret(json.dumps({"pii_salt": SALT}))
    settings = load_settings(KEPT_IN)
    assert (settings.snowflake_account, settings.list_length) == ("myorg-myaccount", 7)
    assert settings.pii_salt is not None
    assert settings.pii_salt.get_secret_value() == SALT
    assert SALT not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


def test_all_pages_of_a_path_are_read() -> None:
    parts = ("account", "user", "role", "warehouse", "database", "stage")
    more_than_ten = ["list_length", "http_attempts", "attributes_per_page", "hub_kms_key", "glue_database"]
    names = [*more_than_ten, *(f"snowflake_{part}" for part in parts)]
    for name in names:
        keep_parameter(name, "5")
    keep_secret("{}")
    settings = load_settings(KEPT_IN)
    assert {str(getattr(settings, name)) for name in names} == {"5"}


def test_the_environment_has_the_last_word_then_the_secret_then_the_parameters() -> None:
    for name in ("list_length", "http_attempts", "attributes_per_page"):
        keep_parameter(name, "1")
    keep_secret(json.dumps({"list_length": "2", "http_attempts": "2"}))
    settings = load_settings(KEPT_IN | {"RECSYS_LIST_LENGTH": "3"})
    assert (settings.list_length, settings.http_attempts, settings.attributes_per_page) == (3, 2, 1)


def test_either_place_does_without_the_other() -> None:
    keep_parameter("list_length", "1")
    keep_secret(json.dumps({"list_length": "2"}))
    assert [load_settings({name: place}).list_length for name, place in KEPT_IN.items()] == [1, 2]


def test_an_encrypted_parameter_is_read_decrypted() -> None:
    keep_parameter("pii_salt", SALT, kind="SecureString")
    settings = load_settings({"RECSYS_PARAMETERS": PATH})
    assert settings.pii_salt is not None
    assert settings.pii_salt.get_secret_value() == SALT


def test_a_path_without_parameters_is_named() -> None:
    keep_secret("{}")
    assert str(refused()) == (f"RECSYS_PARAMETERS={PATH} names no parameters: there is none right below that path.")


def test_a_machine_without_a_region_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert str(refused()) == "Cannot create a client for ssm: You must specify a region. Set AWS_REGION or a profile."


def test_a_secret_that_is_not_there_is_named() -> None:
    keep_parameter("list_length", "1")
    assert str(refused()).startswith(f"Cannot read RECSYS_SECRET={SECRET}: AWS answered ResourceNotFoundException (")


@pytest.mark.parametrize("text", [SALT, f'"{SALT}"', f'["{SALT}"]', f'{{"pii_salt": ["{SALT}"]}}', f'{{"{SALT}": '])
def test_a_secret_that_is_no_object_of_texts_is_refused_without_being_shown(text: str) -> None:
    keep_parameter("list_length", "1")
    keep_secret(text)
    error = refused()
    assert str(error) == f"RECSYS_SECRET={SECRET} does not hold a JSON object of texts."
    assert SALT not in all_that_is_told(error)


def test_a_secret_of_bytes_is_refused_in_the_same_words() -> None:
    keep_parameter("list_length", "1")
    boto3.client("secretsmanager").create_secret(Name=SECRET, SecretBinary=SALT.encode())
    assert "does not hold a JSON object" in str(refused())


@pytest.mark.parametrize("name", ["list_length", "users_url", "env", "hub", "alert_topic", "http_timeout_seconds"])
def test_a_wrong_value_from_a_secret_is_named_and_not_shown(name: str) -> None:
    keep_parameter("list_length", "1")
    keep_secret(json.dumps({name: SALT}))
    error = refused()
    assert str(error).startswith(f"RECSYS_{name.upper()} is not valid: ")
    assert SALT not in all_that_is_told(error)


def test_a_wrong_value_from_an_encrypted_parameter_is_not_shown_either() -> None:
    keep_parameter("list_length", SALT, kind="SecureString")
    keep_secret("{}")
    error = refused()
    assert str(error).startswith("RECSYS_LIST_LENGTH is not valid: ")
    assert SALT not in all_that_is_told(error)


def test_a_wrong_plain_value_is_shown_wherever_it_comes_from() -> None:
    keep_parameter("list_length", "many")
    keep_secret(json.dumps({"http_attempts": "1"}))
    assert str(refused()).startswith("RECSYS_LIST_LENGTH='many' is not valid: ")
    assert str(refused(RECSYS_LIST_LENGTH="1", RECSYS_HTTP_ATTEMPTS="few")).startswith("RECSYS_HTTP_ATTEMPTS='few' ")


@pytest.mark.parametrize("name", ["pii_salt", "alert_webhook", "snowflake_private_key"])
def test_another_wrong_setting_does_not_bring_a_secret_to_light(name: str) -> None:
    secret = f"https://hooks.example.com/{SALT.replace(' ', '-')}"
    keep_parameter("list_length", "0")
    keep_secret(json.dumps({name: secret}))
    assert secret not in all_that_is_told(refused())


def test_an_unknown_name_in_a_secret_is_told_without_its_value() -> None:
    keep_parameter("list_length", "1")
    keep_secret(json.dumps({"pii_sallt": SALT}))
    error = refused()
    assert str(error).startswith("Unknown setting RECSYS_PII_SALLT: did you mean RECSYS_PII_SALT?")
    assert SALT not in all_that_is_told(error)


def test_a_setting_in_a_secret_that_is_empty_is_named() -> None:
    keep_parameter("list_length", "1")
    keep_secret(json.dumps({"pii_salt": ""}))
    assert str(refused()) == "RECSYS_PII_SALT is empty: give it a value or unset it."


@pytest.mark.parametrize("name", KEPT_IN)
def test_an_empty_place_is_not_passed_over(name: str) -> None:
    assert str(refused(**{name: ""})) == f"{name} is empty: give it a value or unset it."


@pytest.mark.parametrize("name", KEPT_IN)
def test_a_place_cannot_name_another_place(name: str) -> None:
    keep_parameter("list_length", "1")
    keep_secret(json.dumps({name.removeprefix("RECSYS_").lower(): "elsewhere"}))
    assert str(refused()).startswith(f"Unknown setting {name}: ")
