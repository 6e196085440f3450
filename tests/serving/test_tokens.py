"""Bearer tokens: what a provider signed for this audience is accepted while valid; a provider that misbehaves breaks nothing."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from recsys_platform.common.errors import SettingsError
from recsys_platform.config.settings import load_settings
from recsys_platform.serving.gateway import tokens as tokens_module
from recsys_platform.serving.gateway.tokens import Provider, TokenError, Tokens
from tests.support.pace import patience
from tests.support.serving_world import Running, ServingWorld, event

ISSUER, AUDIENCE = "https://login.example.com/", "recsys"
RSA = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
EC, ED = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()


def jwk_of(private: Any, key_id: str, algorithm: str) -> dict[str, Any]:
    found = jwt.get_algorithm_by_name(algorithm).to_jwk(private.public_key(), as_dict=True)
    return {**found, "kid": key_id, "use": "sig", "alg": algorithm}


JWKS = {"keys": [jwk_of(RSA, "r1", "RS256"), jwk_of(EC, "e1", "ES256"), jwk_of(ED, "d1", "EdDSA")]}


class JwksServer(ThreadingHTTPServer):
    """Serves a key set; `answer` may be replaced by whatever a hostile provider does."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.keys: Any = JWKS
        self.answer: Callable[[BaseHTTPRequestHandler], None] = self.send_keys
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/jwks"

    def send_keys(self, request: BaseHTTPRequestHandler) -> None:
        send(request, json.dumps(self.keys).encode())


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, JwksServer)
        self.server.asked.append(self.path)
        with contextlib.suppress(OSError):  # the gateway hung up
            self.server.answer(self)

    def log_message(self, *_: Any) -> None:
        pass


def send(request: BaseHTTPRequestHandler, content: bytes, status: int = 200, **headers: str) -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(content)


@pytest.fixture
def jwks() -> Iterator[JwksServer]:
    server = JwksServer()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    made = {"iss": ISSUER, "aud": AUDIENCE, "sub": "u01", "exp": now + 300, "nbf": now - 5, "roles": ["reader"]}
    return {name: value for name, value in (made | changed).items() if value is not None}


def token(private: Any = RSA, key_id: str | None = "r1", algorithm: str = "RS256", **changed: Any) -> str:
    headers = {"kid": key_id} if key_id else {}
    return jwt.encode(claims(**changed), private, algorithm=algorithm, headers=headers)


def checker(jwks: JwksServer, **claims_of: str) -> Tokens:
    return Tokens(Provider(ISSUER, AUDIENCE, jwks.url, **claims_of))


def asked_with(api: Running, text: str, path: str = "/v1/users/u01/recommendations", **more: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {text}"}
    return httpx.request(more.pop("method", "GET"), api.url + path, headers=headers, timeout=30, **more)


@pytest.fixture
def api(serving_world: ServingWorld, run_gateway: Callable[..., Running], jwks: JwksServer) -> Running:
    return run_gateway(serving_world, tokens=checker(jwks))


def test_each_allowed_algorithm_is_accepted_and_the_keys_are_fetched_once(api: Running, jwks: JwksServer) -> None:
    for text in (token(), token(EC, "e1", "ES256"), token(ED, "d1", "EdDSA"), token()):
        assert asked_with(api, text).status_code == 200
    assert len(jwks.asked) == 1
    assert api.recommended("u01")["source"] == "live"  # keys work beside tokens


def test_the_token_of_a_reader_sees_that_reader_alone(api: Running) -> None:
    own = token()
    assert asked_with(api, own, "/v1/users/u02/recommendations").status_code == 403
    assert asked_with(api, own, "/v1/users/u02/home").status_code == 403
    ranking = {"user_id": "u02", "book_ids": ["b01"]}
    assert asked_with(api, own, "/v1/rank", method="POST", json=ranking).status_code == 403
    device = {"anonymous_id": "a phone"}
    assert asked_with(api, own, "/v1/recommendations", method="POST", json=device).status_code == 403
    assert asked_with(api, own, "/v1/popular?user_id=u02").status_code == 403
    assert asked_with(api, own, "/v1/books/b03/similar?anonymous_id=a-phone").status_code == 403
    seen = asked_with(api, own, "/v1/popular").json()["request_id"]
    assert api.gateway.facts_of(seen)["source"] == "popular"
    assert api.gateway.exposures.get(seen).user_id == "u01"
    others = api.recommended("u02")["request_id"]
    assert asked_with(api, own, f"/v1/recommendations/{others}/explanation").status_code == 403
    own_event = event("Book Saved", "b01", device="")
    forged = [
        own_event | {"type": "alias", "previousId": "u02"},
        own_event | {"type": "identify", "anonymousId": "a phone"},
        own_event | {"event": "Recommendations Viewed"},
    ]
    posted = asked_with(
        api,
        own,
        "/v1/events",
        method="POST",
        json={"batch": [own_event, event("Book Saved", "b01", user="u02", device=""), *forged]},
    )
    assert [each["accepted"] for each in posted.json()["events"]] == [True, False, False, False, False]
    analyst = token(roles=["reader", "analyst"])
    assert asked_with(api, analyst, f"/v1/recommendations/{others}/explanation").status_code == 404
    service = token(sub="backend", roles=["app"])
    assert asked_with(api, service, "/v1/users/u02/recommendations").status_code == 200


def unsigned(**changed: Any) -> str:
    return jwt.encode(claims(**changed), None, algorithm="none", headers={"kid": "r1"})


def signed_with_the_public_key() -> str:
    """The classic confusion of algorithms: HMAC with the public key as its secret."""
    pem = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    head, body, _ = jwt.encode(claims(), "x" * 32, algorithm="HS256", headers={"kid": "r1"}).split(".")
    made = jwt.get_algorithm_by_name("HS256").sign(f"{head}.{body}".encode(), pem)
    return f"{head}.{body}.{jwt.utils.base64url_encode(made).decode()}"


def with_other_claims() -> str:
    head, _, signature = token().split(".")
    body = jwt.utils.base64url_encode(json.dumps(claims(sub="u02")).encode()).decode()
    return f"{head}.{body}.{signature}"


REFUSED: dict[str, Callable[[], str]] = {
    "forged": lambda: token(OTHER),
    "with other claims than signed": with_other_claims,
    "of another algorithm than its key": lambda: token(EC, "r1", "ES256"),
    "alg none": unsigned,
    "HMAC with the public key": signed_with_the_public_key,
    "RS512": lambda: token(algorithm="RS512"),
    "expired": lambda: token(exp=int(time.time()) - 60),
    "without exp": lambda: token(exp=None),
    "without nbf": lambda: token(nbf=None),
    "not valid yet": lambda: token(nbf=int(time.time()) + 600),
    "of another audience": lambda: token(aud="others"),
    "without audience": lambda: token(aud=None),
    "of another issuer": lambda: token(iss="https://evil.example.com/"),
    "of an unknown key": lambda: token(key_id="r2"),
    "without a key id": lambda: token(key_id=None),
    "a reader without an id": lambda: token(sub=None),
    "no token": lambda: "a.b.c",
    "too long": lambda: token(more="x" * 9000),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_token_that_is_not_valid_is_refused_and_not_told(
    what: str, api: Running, caplog: pytest.LogCaptureFixture
) -> None:
    text = REFUSED[what]()
    found = asked_with(api, text)
    assert (found.status_code, found.headers["content-type"]) == (401, "application/problem+json")
    assert 'error="invalid_token"' in found.headers["www-authenticate"]
    for part in text.split("."):
        assert len(part) < 10 or part not in found.text + caplog.text


def test_a_token_without_a_role_for_the_endpoint_is_not_allowed(api: Running) -> None:
    for roles in ([], ["owner"], ["analyst"], None):
        assert asked_with(api, token(roles=roles)).status_code == 403


def test_a_token_is_remembered_until_it_expires(jwks: JwksServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_module, "LEEWAY_SECONDS", 0)
    checked, text = checker(jwks), token(exp=int(time.time()) + 2)

    async def check() -> None:
        first = await checked.bearer(text)
        assert await checked.bearer(text) is first
        await asyncio.sleep(2.1)
        with pytest.raises(TokenError, match="expired"):
            await checked.bearer(text)

    asyncio.run(check())


def test_unknown_keys_are_looked_for_once_a_minute_and_a_new_key_is_found(
    jwks: JwksServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = checker(jwks)
    new = {"keys": [jwk_of(OTHER, "r2", "RS256")]}

    async def check() -> None:
        old = token()
        assert (await checked.bearer(old)).user_id == "u01"
        jwks.keys = new
        for _ in range(20):
            with pytest.raises(TokenError, match="its key is unknown"):
                await checked.bearer(token(OTHER, "r2"))
        assert len(jwks.asked) == 1
        monkeypatch.setattr(tokens_module, "RETRY_SECONDS", 0.0)
        many = await asyncio.gather(*(checked.bearer(token(OTHER, "r2", sub=f"u{at}")) for at in range(20)))
        assert (len(many), len(jwks.asked)) == (20, 2)
        with pytest.raises(TokenError):  # the old key is gone, and so is what was remembered of it
            await checked.bearer(old)

    asyncio.run(check())


def test_old_keys_go_on_while_new_ones_are_fetched_and_while_the_provider_is_away(
    jwks: JwksServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens_module, "REFRESH_SECONDS", 0.0)
    monkeypatch.setattr(tokens_module, "RETRY_SECONDS", 0.0)
    checked = checker(jwks)

    async def check() -> None:
        await checked.bearer(token())
        jwks.answer = lambda request: time.sleep(1)
        started = time.monotonic()
        for at in range(10):
            await checked.bearer(token(sub=f"u{at}"))
        assert time.monotonic() - started < 0.5 * patience()
        monkeypatch.setattr(tokens_module, "FORGET_SECONDS", 0.0)
        with pytest.raises(TokenError, match="its key is unknown"):
            await checked.bearer(token(sub="u99"))

    asyncio.run(check())


def drip(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    for _ in range(600):
        request.wfile.write(b" ")
        time.sleep(0.05)


def endless_headers(request: BaseHTTPRequestHandler) -> None:
    for at in range(600):
        request.wfile.write(b"HTTP/1.1 200 OK\r\n" if not at else b"x: y\r\n")
        time.sleep(0.05)


def to_metadata(request: BaseHTTPRequestHandler) -> None:
    send(request, b"", 302, Location=f"http://{request.headers['host']}/latest/meta-data")


HOSTILE: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {
    "silent": lambda request: time.sleep(30),
    "dripping": drip,
    "dripping headers": endless_headers,
    "huge": lambda request: send(request, b'{"keys": [' + b" " * 30_000_000 + b"]}"),
    "not JSON": lambda request: send(request, b"<html>"),
    "nested": lambda request: send(request, b'{"keys": ' + b"[" * 100_000),
    "another form": lambda request: send(request, b'{"keys": [1]}'),
    "no keys": lambda request: send(request, b'{"keys": []}'),
    "a secret as key": lambda request: send(request, b'{"keys": [{"kty": "oct", "kid": "r1", "k": "eHh4"}]}'),
    "a broken key": lambda request: send(request, b'{"keys": [{"kty": "RSA", "kid": "r1", "n": 5, "e": []}]}'),
    "compressed": lambda request: send(request, b"\x1f\x8b", content_encoding="gzip"),
    "to a file": lambda request: send(request, b"", 302, Location="file:///etc/passwd"),
    "to the metadata of the cloud": to_metadata,
    "failing": lambda request: send(request, b"no", 500),
    "closing": lambda request: request.connection.shutdown(socket.SHUT_RDWR),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_provider_neither_hangs_nor_opens_the_gateway(
    what: str, api: Running, jwks: JwksServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens_module, "FETCH_SECONDS", 1.5)
    jwks.answer = HOSTILE[what]
    forged = jwt.encode(claims(), "xxx" * 11, algorithm="HS256", headers={"kid": "r1"})
    waiting = threading.Thread(target=asked_with, args=(api, token()), daemon=True)
    started = time.monotonic()
    waiting.start()
    assert api.recommended("u01")["source"] == "live"  # a key is not kept waiting
    assert time.monotonic() - started < 1.2
    assert asked_with(api, token()).status_code == 401
    assert asked_with(api, forged).status_code == 401
    assert time.monotonic() - started < 6 * patience()
    assert jwks.asked == ["/jwks"]


def test_roles_and_readers_are_found_in_the_claims_of_the_settings(jwks: JwksServer) -> None:
    nested = checker(jwks, roles_claim="realm_access.roles", user_claim="https://example.com/reader")
    text = token(realm_access={"roles": ["reader", "offline"]}, **{"https://example.com/reader": "r 7"})
    found = asyncio.run(nested.bearer(text))
    assert (found.user_id, found.roles) == ("r 7", frozenset({"reader"}))
    assert "u01" not in found.name
    words = asyncio.run(checker(jwks, roles_claim="scope").bearer(token(scope="openid app")))
    assert (words.user_id, words.roles) == (None, frozenset({"app"}))


def test_settings_of_a_provider_are_whole_and_with_tls() -> None:
    given = {"RECSYS_OIDC_ISSUER": ISSUER, "RECSYS_OIDC_AUDIENCE": AUDIENCE}
    with pytest.raises(SettingsError, match="RECSYS_OIDC_JWKS_URL is missing, which RECSYS_OIDC_ISSUER needs"):
        load_settings(given)
    for url in ("http://login.example.com/jwks", "file:///etc/passwd"):
        with pytest.raises(SettingsError, match="RECSYS_OIDC_JWKS_URL"):
            load_settings(given | {"RECSYS_OIDC_JWKS_URL": url})
    assert load_settings(given | {"RECSYS_OIDC_JWKS_URL": "https://login.example.com/jwks"}).oidc_roles_claim == "roles"
