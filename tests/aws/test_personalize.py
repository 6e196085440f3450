"""The schemas of the export are taken by the service's API."""

import json

import boto3
import pytest

from recsys_platform.exports.personalize import SCHEMAS

PRIMITIVE = {"null", "boolean", "int", "long", "float", "double", "string"}


@pytest.fixture
def arns(bucket: str) -> dict[str, str]:
    """The ARN of each schema, created through the client as anybody would."""
    client = boto3.client("personalize")
    return {
        name: client.create_schema(name=f"recsys-{name}", schema=schema.avro())["schemaArn"]
        for name, schema in SCHEMAS.items()
    }


def test_every_schema_can_be_created_and_is_described_as_we_wrote_it(arns: dict[str, str]) -> None:
    client = boto3.client("personalize")
    for name, arn in arns.items():
        described = client.describe_schema(schemaArn=arn)["schema"]
        assert (described["name"], described["schema"]) == (f"recsys-{name}", SCHEMAS[name].avro())


def test_every_schema_is_a_flat_avro_record_with_names_of_its_own(arns: dict[str, str]) -> None:
    client = boto3.client("personalize")
    for arn in arns.values():
        record = json.loads(client.describe_schema(schemaArn=arn)["schema"]["schema"])
        assert (record["type"], record["version"]) == ("record", "1.0")
        assert len({field["name"] for field in record["fields"]}) == len(record["fields"])
        for field in record["fields"]:
            types = field["type"] if isinstance(field["type"], list) else [field["type"]]
            assert set(types) <= PRIMITIVE
            assert types in ([types[0]], [types[0], "null"])
            assert field.get("categorical", False) in (False, "string" in types)
