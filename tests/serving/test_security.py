"""Keys that are not valid any more open nothing, and neither answers nor logs repeat what a client sent in secret."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import jwt
import pytest

from recsys_platform.serving import recommending
from recsys_platform.serving.gateway import keys as keys_module
from recsys_platform.serving.gateway.api import ENDPOINTS
from recsys_platform.serving.gateway.examples import EXAMPLES
from tests.support.serving_world import Running, ServingWorld, event

PERSON = "jane.doe@example.com"
GUARDED = [endpoint for endpoint in ENDPOINTS if endpoint.roles is not None]


@pytest.fixture
def api(serving_world: ServingWorld, run_gateway: Callable[..., Running], monkeypatch: pytest.MonkeyPatch) -> Running:
    monkeypatch.setattr(keys_module, "REMEMBER_SECONDS", -1.0)
    return run_gateway(serving_world)


def ask(client: httpx.Client, endpoint: Any, **headers: str) -> httpx.Response:
    path = endpoint.path.format(user_id="u01", book_id="b01", request_id="r")
    body = EXAMPLES[endpoint.handler.__name__].body if endpoint.body is not None else None
    return client.request(endpoint.method, path, headers=headers, json=body)


@pytest.mark.parametrize("endpoint", GUARDED, ids=lambda each: each.path)
def test_a_key_that_expired_was_revoked_or_rotated_away_opens_no_endpoint(api: Running, endpoint: Any) -> None:
    store = api.gateway.access.keys
    expired = store.create("expired", days=0)[1]
    key, revoked = store.create("revoked")
    store.revoke(key.id)
    key, rotated = store.create("rotated")
    store.rotate(key.id, overlap=keys_module.OVERLAP * 0)
    another = revoked.replace("rk_local_", "rk_aws_")
    client = httpx.Client(base_url=api.url, timeout=30)
    assert ask(client, endpoint).status_code == 401
    for text in (expired, revoked, rotated, another, "x", "rk_local_", "null", "*", PERSON):
        for headers in ({"authorization": f"Bearer {text}"}, {"x-api-key": text}, {"authorization": f"Basic {text}"}):
            found = ask(client, endpoint, **headers)
            assert (found.status_code, found.json()["status"]) == (401, 401)
            assert len(text) < 10 or text not in found.text


@contextmanager
def everything_logged() -> Iterator[list[str]]:
    """Every line of every logger, those of libraries and of the server too, at the finest level."""
    lines: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(logging.Formatter("%(name)s %(message)s").format(record))

    names = ("", "uvicorn", "uvicorn.error", "httpx", "httpcore", "asyncio", "recsys_platform")
    loggers = {logging.getLogger(name): logging.getLogger(name).level for name in names}
    collector = Collector()
    for logger in loggers:
        logger.addHandler(collector)
        logger.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        for logger, level in loggers.items():
            logger.removeHandler(collector)
            logger.setLevel(level)


def break_everything(api: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model, the profile, the spool and a handler fail, with what was sent in the text of the error."""

    def broken(*given: Any, **_: Any) -> Any:
        raise RuntimeError("it broke")

    monkeypatch.setattr(recommending, "live_answer", broken)
    monkeypatch.setattr(recommending, "ranked_answer", broken)
    monkeypatch.setattr(api.gateway.recommendations, "similar", broken)


def test_no_log_holds_a_key_a_token_or_a_person(api: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    break_everything(api, monkeypatch)
    store = api.gateway.access.keys
    secret = api.client.headers["authorization"].removeprefix("Bearer ")
    wrong = store.create("other")[1][:-3] + "abc"
    bearer = jwt.encode({"sub": PERSON}, "of nobody, but long enough for HS256", algorithm="HS256")
    with everything_logged() as lines:
        for text in (secret, wrong, bearer):
            headers = {"authorization": f"Bearer {text}", "cookie": f"recsys={text}", "x-request-id": PERSON}
            with httpx.Client(base_url=api.url, headers=headers, timeout=30) as client:
                client.get(f"/v1/users/{PERSON}/recommendations", params={"surface": "home", "exclude": PERSON})
                client.get(f"/v1/users/{PERSON}/home")
                client.get(f"/v1/books/{PERSON}/similar")
                client.post("/v1/rank", json={"user_id": PERSON, "book_ids": ["b01", PERSON]})
                client.post("/v1/recommendations", json={"anonymous_id": PERSON, "k": "many"})
                client.post("/v1/events", json={"batch": [event("Book Saved", "b01", user=PERSON), {"userId": PERSON}]})
                client.post("/v1/events", content=b'{"userId": "' + PERSON.encode() + b'", ')
                client.get("/", params={"reader": PERSON})
                client.get(f"/{text}")
    logged = "\n".join(
        line for line in lines if not line.startswith(("httpx ", "httpcore"))
    )  # those of this test's own client
    assert "A recommendation source failed" in logged
    assert "/v1/books/{book_id}/similar failed" in logged
    for text in (secret, secret.rpartition("_")[2], wrong, wrong.rpartition("_")[2], bearer, PERSON, "jane.doe"):
        assert text not in logged


ORIGIN = "https://app.example.com"


@pytest.mark.parametrize(("origin", "is_allowed"), [(ORIGIN, True), ("https://evil.example.com", False)])
def test_web_pages_of_the_configured_origins_alone_may_call_the_api(
    serving_world: ServingWorld, run_gateway: Callable[..., Running], origin: str, is_allowed: bool
) -> None:
    client = run_gateway(serving_world, "origins", origins=(ORIGIN,)).client
    asked = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization",
    }
    preflight = client.options("/v1/events", headers=asked)
    answer = client.get("/v1/popular", headers={"origin": origin})
    refused = client.get("/v1/popular", headers={"origin": origin, "authorization": "Bearer wrong"})
    assert (preflight.status_code == 200) is is_allowed
    assert (answer.status_code, refused.status_code) == (200, 401)
    for each in (preflight, answer, refused):
        assert (each.headers.get("access-control-allow-origin") == origin) is is_allowed
        assert "access-control-allow-credentials" not in each.headers


def test_without_origins_no_web_page_may_call_the_api(api: Running) -> None:
    answer = api.client.get("/v1/popular", headers={"origin": ORIGIN})
    assert not [name for name in answer.headers if name.startswith("access-control")]
