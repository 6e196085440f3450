"""Settings kept in AWS: SSM Parameter Store and, for secrets, Secrets Manager. Their values are never printed.

Imported only if the environment names one of them, since it imports boto3.
"""

import json
from collections.abc import Mapping

from pydantic import SecretStr

from recsys_platform.common.aws import client, translate_aws_errors
from recsys_platform.common.errors import SettingsError


def parameters(path: str) -> dict[str, str | SecretStr]:
    """The parameters right below a path, such as `/recsys/production`, by the last part of their names; `SecureString` is a secret."""
    with translate_aws_errors(f"read RECSYS_PARAMETERS={path}"):
        pages = client("ssm").get_paginator("get_parameters_by_path").paginate(Path=path, WithDecryption=True)
        found = {
            each["Name"].rpartition("/")[2]: _parameter_value(each) for page in pages for each in page["Parameters"]
        }
    if not found:
        raise SettingsError(f"RECSYS_PARAMETERS={path} names no parameters: there is none right below that path.")
    return found


def _parameter_value(parameter: Mapping[str, str]) -> str | SecretStr:
    value = parameter["Value"]
    return SecretStr(value) if parameter["Type"] == "SecureString" else value


def secrets(name: str) -> dict[str, SecretStr]:
    """The settings in a secret: a JSON object such as `{"pii_salt": "…", "snowflake_private_key": "…"}`."""
    with translate_aws_errors(f"read RECSYS_SECRET={name}"):
        text = client("secretsmanager").get_secret_value(SecretId=name).get("SecretString", "")
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        # Not raised from the error above, whose text would quote the secret.
        raise SettingsError(f"RECSYS_SECRET={name} does not hold a JSON object of texts.")
    return {setting: SecretStr(value) for setting, value in found.items()}
