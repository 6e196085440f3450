"""Writing to AWS Secrets Manager what a person is given, such as the text of an API key, where a terminal's output is kept in logs.

Imported only if a secret is named, since it imports boto3.
"""

from typing import Any

from recsys_platform.common.aws import client, translate_aws_errors


def write_secret(name: str, text: str, kms_key: str | None = None) -> None:
    """Make the text the value of a secret, which is created if there is none of that name. `kms_key`: ARN, AWS's own by default.

    Raises a `RecsysError` if AWS refuses.
    """
    service = client("secretsmanager")
    with translate_aws_errors(f"write the secret {name}"):
        try:
            service.put_secret_value(SecretId=name, SecretString=text)
        except service.exceptions.ResourceNotFoundException:
            encrypted: dict[str, Any] = {"KmsKeyId": kms_key} if kms_key else {}
            service.create_secret(Name=name, SecretString=text, **encrypted)
