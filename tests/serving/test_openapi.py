"""The OpenAPI document: valid, with true examples, and kept by a gateway under random requests."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from recsys_platform.serving.gateway.api import ENDPOINTS
from recsys_platform.serving.gateway.openapi import openapi_document
from tests.support.openapi_fuzz import ask_at_random
from tests.support.serving_world import Running, ServingWorld

DOCUMENT = openapi_document(ENDPOINTS)
OPERATIONS = {each["operationId"]: each for path in DOCUMENT["paths"].values() for each in path.values()}


def examples_of(operation: Any) -> Iterator[tuple[str, Any, Any]]:
    """Where an example is, its schema, and its value."""
    for each in operation["parameters"]:
        yield each["name"], each["schema"], each["example"]
    for status, response in operation["responses"].items():
        for media in response.get("content", {}).values():
            yield status, media["schema"], media["example"]
    for media in operation.get("requestBody", {"content": {}})["content"].values():
        for name, example in media["examples"].items():
            yield name, media["schema"], example["value"]


def test_the_document_is_valid_openapi_3_1() -> None:
    validate(DOCUMENT)
    assert DOCUMENT["openapi"].startswith("3.1")


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_parameter_body_and_answer_has_an_example_that_its_schema_allows(name: str) -> None:
    for where, schema, example in examples_of(OPERATIONS[name]):
        validator = OAS31Validator({**schema, "components": DOCUMENT["components"]})
        assert not [f"{where}: {error.message}" for error in validator.iter_errors(example)]


def test_a_whole_number_may_be_written_with_a_point(serving_world: ServingWorld, run_gateway: Any) -> None:
    api: Running = run_gateway(serving_world)
    found = api.client.post("/v1/recommendations", content=b'{"k": 3.0}')
    assert len(found.json()["items"]) == 3
    assert api.client.post("/v1/recommendations", content=b'{"k": 3.5}').status_code == 422


def test_an_id_with_a_nul_names_nobody(serving_world: ServingWorld, run_gateway: Any) -> None:
    api: Running = run_gateway(serving_world)
    assert api.client.get("/v1/users/%00d1/recommendations").status_code == 422


@pytest.mark.slow  # sends a thousand requests
def test_a_thousand_random_requests_are_answered_as_the_document_says(
    tmp_path: Path, serving_world: ServingWorld, run_gateway: Callable[..., Running]
) -> None:
    api = run_gateway(serving_world)
    key = api.client.headers["authorization"].removeprefix("Bearer ")
    found = ask_at_random(api.url, key, tmp_path, examples=45)
    assert found.passed, found.printed[-4000:]
    assert found.generated >= 1000
    assert found.statuses
    assert not [status for status in found.statuses if status.startswith("5")]
