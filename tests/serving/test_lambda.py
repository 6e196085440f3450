"""The gateway in AWS Lambda: loaded once an environment, for every kind of event that may reach it."""

import base64
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recsys_platform.config.settings import load_settings
from recsys_platform.hub.local import FolderHub
from recsys_platform.recommender.lists.list_rules import parse_list_rules
from recsys_platform.serving import following
from recsys_platform.serving.gateway import aws_lambda
from recsys_platform.serving.gateway.server import key_store_of
from tests.support.serving_world import event, make_world

PATH = "/v1/users/u01/recommendations"
CONTEXT = SimpleNamespace(aws_request_id="r", get_remaining_time_in_millis=lambda: 3000)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    made = make_world(folder)
    made.publish(parse_list_rules({}))
    return folder


@pytest.fixture
def headers(home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("RECSYS_HOME", str(home))
    aws_lambda._handler_of_settings.cache_clear()
    return {"authorization": f"Bearer {key_store_of(load_settings()).create('app')[1]}", "host": "api.example.com"}


def v1(headers: dict[str, str], method: str = "GET", path: str = PATH, body: str | None = None) -> dict[str, Any]:
    """An event of a REST API of API Gateway."""
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {"k": "3"} if method == "GET" else None,
        "multiValueQueryStringParameters": {"k": ["3"]} if method == "GET" else None,
        "requestContext": {"identity": {"sourceIp": "192.0.2.1"}, "stage": "live", "httpMethod": method},
        "body": body,
        "isBase64Encoded": False,
    }


def v2(headers: dict[str, str]) -> dict[str, Any]:
    """An event of an HTTP API of API Gateway."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": PATH,
        "rawQueryString": "k=3",
        "headers": headers,
        "requestContext": {"http": {"method": "GET", "path": PATH, "sourceIp": "192.0.2.1"}, "stage": "$default"},
        "isBase64Encoded": False,
    }


def alb(headers: dict[str, str]) -> dict[str, Any]:
    """An event of a load balancer."""
    return {
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/a/b"}},
        "httpMethod": "GET",
        "path": PATH,
        "queryStringParameters": {"k": "3"},
        "headers": headers,
        "body": "",
        "isBase64Encoded": False,
    }


def body_of(answer: dict[str, Any]) -> Any:
    content = base64.b64decode(answer["body"]) if answer.get("isBase64Encoded") else answer["body"]
    return json.loads(content)


def test_a_hundred_invocations_of_every_kind_load_once(
    headers: dict[str, str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[Path] = []
    load = following.load_artifact
    monkeypatch.setattr(following, "load_artifact", lambda folder: loads.append(folder) or load(folder))
    answers = [aws_lambda.handler(event_of(headers), CONTEXT) for _ in range(34) for event_of in (v1, v2, alb)]
    assert {each["statusCode"] for each in answers} == {200}
    assert {len(body_of(each)["items"]) for each in answers} == {3}
    assert {body_of(each)["source"] for each in answers} == {"live"}
    assert len(loads) == 1
    ids = {body_of(each)["request_id"] for each in answers}
    assert len(ids) == 102
    # A frozen environment may not wake again: everything was delivered.
    spool = home / "serving" / "spool"
    assert [*spool.rglob("*.open"), *spool.rglob("*.ready")] == []
    assert len(list(FolderHub(home / "hub").objects("engagement_events/"))) == 102


def test_events_and_errors_pass_through(headers: dict[str, str]) -> None:
    posted = json.dumps({"batch": [event("Book Saved", "b01")]})
    found = aws_lambda.handler(v1(headers, "POST", "/v1/events", posted), CONTEXT)
    assert (found["statusCode"], body_of(found)["accepted"]) == (202, 1)
    encoded = v1(headers, "POST", "/v1/events", base64.b64encode(posted.encode()).decode()) | {"isBase64Encoded": True}
    assert aws_lambda.handler(encoded, CONTEXT)["statusCode"] == 202
    refused = aws_lambda.handler(v2({"host": "api.example.com"}), CONTEXT)
    assert (refused["statusCode"], refused["isBase64Encoded"]) == (401, False)
    assert body_of(refused)["type"] == "urn:recsys:problem:unauthenticated"


def test_an_answer_goes_out_although_its_events_cannot_be_delivered_yet(home: Path, headers: dict[str, str]) -> None:
    landing = home / "serving" / "spool" / "landing"
    assert aws_lambda.handler(v1(headers), CONTEXT)["statusCode"] == 200
    landing.rename(landing.with_name("away"))
    landing.touch()  # no folder can be made there, as on a full disk
    try:
        assert aws_lambda.handler(v1(headers), CONTEXT)["statusCode"] == 200
        assert list(landing.parent.glob("*.ready"))
    finally:
        landing.unlink()
        landing.with_name("away").rename(landing)
    assert aws_lambda.handler(v1(headers), CONTEXT)["statusCode"] == 200
    assert not list(landing.parent.glob("*.ready"))
