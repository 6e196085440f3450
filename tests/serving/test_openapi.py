"""The OpenAPI document: valid, with true examples, and kept by a gateway under random requests."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from recsys_platform.serving.gateway.api import ENDPOINTS
from recsys_platform.serving.gateway.openapi import openapi_document
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


CONFIG = """
# A record that is not valid has its own verdict in the answer, so the request itself is accepted.
[[operations]]
include-operation-id = "post_events"
checks.negative_data_rejection.enabled = false
"""


@pytest.mark.slow  # sends a thousand requests
def test_a_thousand_random_requests_are_answered_as_the_document_says(
    tmp_path: Path, serving_world: ServingWorld, run_gateway: Callable[..., Running]
) -> None:
    api, report = run_gateway(serving_world), tmp_path / "report.json"
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", tmp_path / "schemathesis.toml", "run"),
        *(f"{api.url}/openapi.json", "--header", f"Authorization: {api.client.headers['authorization']}"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", "45", "--seed", "1", "--continue-on-failure"),
        *("--report", "json", "--report-json-path", report),
    ]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
    [generated] = re.findall(r"([\d,]+) generated", done.stdout)
    assert int(generated.replace(",", "")) >= 1000
    statuses = re.findall(r'recsys_requests_total\{.*status="(\d+)"\}', httpx.get(f"{api.url}/metrics").text)
    assert statuses
    assert not [status for status in statuses if status.startswith("5")]
