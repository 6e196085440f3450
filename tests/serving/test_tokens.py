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


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may fetch keys for longer than a gateway waits; tests of that wait set it themselves."""
    monkeypatch.setattr(tokens_module, "FETCH_SECONDS", 30.0)


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


def checker(jwks: JwksServer, **claims_of: Any) -> Tokens:
    return Tokens(Provider(ISSUER, AUDIENCE, jwks.url, **claims_of))


def asked_with(api: Running, text: str, path: str = "/v1/users/u01/recommendations", **more: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {text}"}
    return httpx.request(more.pop("method", "GET"), api.url + path, headers=headers, timeout=30, **more)


@pytest.fixture
def api(serving_world: ServingWorld, run_gateway: Callable[..., Running], jwks: JwksServer) -> Running:
    return run_gateway(serving_world, tokens=checker(jwks))


def test_each_allowed_algorithm_is_accepted_and_the_keys_are_fetched_once(api: Running, jwks: JwksServer) -> None:
    for text in (token(), token(EC, "e1", "ES256"), token(ED, "d1", "EdDSA"), token(), token(nbf=None)):
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


def with_header(**header: Any) -> str:
    """A token that somebody signed with a key of their own, and whose header says where to find or how to use that key."""
    return jwt.encode(claims(), OTHER, algorithm="RS256", headers={"kid": "r1"} | header)


EVIL = "https://evil.example.com/jwks"


def forged_parts(header: dict[str, Any], **changed: Any) -> str:
    """A token of any header and claims with a signature that is none."""
    parts = (json.dumps(header).encode(), json.dumps(claims(**changed)).encode(), b"x" * 256)
    return ".".join(jwt.utils.base64url_encode(part).decode() for part in parts)


def signed_text(body: bytes) -> str:
    """Any bytes, signed with the provider's key."""
    return str(jwt.api_jws.encode(body, RSA, "RS256", {"kid": "r1"}))


def signed(**changed: Any) -> str:
    return signed_text(json.dumps(claims(**changed)).encode())


REFUSED: dict[str, Callable[[], str]] = {
    "with its own key in the header": lambda: with_header(jwk=jwk_of(OTHER, "r1", "RS256")),
    "with an address of its key": lambda: with_header(jku=EVIL),
    "with an address of its certificate": lambda: with_header(x5u=EVIL),
    "with a certificate": lambda: with_header(x5c=["MIIB"]),
    "with a header that must be understood": lambda: jwt.encode(
        claims(), RSA, "RS256", {"kid": "r1", "crit": ["evil"], "evil": 1}
    ),
    "with a key id that is a path": lambda: with_header(kid="../../../dev/null"),
    "with a key id that is a query": lambda: with_header(kid="r1' or '1'='1"),
    "with a key id that is no text": lambda: forged_parts({"alg": "RS256", "kid": ["r1"]}),
    "with an algorithm in other letters": lambda: forged_parts({"alg": "nOnE", "kid": "r1"}),
    "without a signature": lambda: f"{token().rpartition('.')[0]}.",
    "with a signature of another": lambda: f"{token(sub='u02').rpartition('.')[0]}.{token().rpartition('.')[2]}",
    "with an expiry that is no number": lambda: forged_parts({"alg": "RS256", "kid": "r1"}, exp="never"),
    "with an expiry of any size": lambda: signed(exp=10**400),
    "with claims that are no object": lambda: signed_text(b"[1, 2]"),
    "with deep claims": lambda: signed_text(b'{"a":' * 1500 + b"1" + b"}" * 1500),
    "without an issuer": lambda: token(iss=None),
    "of several issuers": lambda: signed(iss=[ISSUER, "https://evil.example.com/"]),
    "forged": lambda: token(OTHER),
    "with other claims than signed": with_other_claims,
    "of another algorithm than its key": lambda: token(EC, "r1", "ES256"),
    "alg none": unsigned,
    "HMAC with the public key": signed_with_the_public_key,
    "RS512": lambda: token(algorithm="RS512"),
    "expired": lambda: token(exp=int(time.time()) - 60),
    "without exp": lambda: token(exp=None),
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


def others_data() -> dict[str, dict[str, Any]]:
    """What the token of reader u01 may not ask for, of every endpoint that names a reader or device."""
    return {
        "recommendations": {"path": "/v1/users/u02/recommendations"},
        "another writing of the reader": {"path": "/v1/users/U01/recommendations"},
        "a reader with a blank": {"path": "/v1/users/u01%20/recommendations"},
        "home": {"path": "/v1/users/u02/home"},
        "similar": {"path": "/v1/books/b01/similar?user_id=u02"},
        "similar of a device": {"path": "/v1/books/b01/similar?anonymous_id=phone"},
        "popular": {"path": "/v1/popular?user_id=u02"},
        "popular of a device": {"path": "/v1/popular?anonymous_id=phone"},
        "rank": {"method": "POST", "path": "/v1/rank", "json": {"user_id": "u02", "book_ids": ["b01"]}},
        "a guest": {"method": "POST", "path": "/v1/recommendations", "json": {"anonymous_id": "phone"}},
    }


def test_no_endpoint_gives_the_token_of_a_reader_data_of_another(api: Running) -> None:
    own = token()
    before = api.gateway.spool.figures.appended
    answers = {what: asked_with(api, own, **asked) for what, asked in others_data().items()}
    assert {what: each.status_code for what, each in answers.items() if each.status_code != 403} == {}
    assert api.gateway.spool.figures.appended == before  # nothing is an exposure of the other reader


def test_a_flood_of_unknown_key_ids_and_keys_that_change_all_the_time_cost_the_provider_one_request(
    api: Running, jwks: JwksServer
) -> None:
    def other_keys(request: BaseHTTPRequestHandler) -> None:
        send(request, json.dumps({"keys": [*JWKS["keys"], jwk_of(OTHER, f"k{len(jwks.asked)}", "RS256")]}).encode())

    jwks.answer = other_keys
    assert asked_with(api, token()).status_code == 200
    statuses = {asked_with(api, token(OTHER, f"k{at}")).status_code for at in range(2, 20)}
    assert (statuses, len(jwks.asked)) == ({401}, 1)
    assert asked_with(api, token()).status_code == 200


def test_nobody_may_post_what_gateways_count_of_their_answers(api: Running) -> None:
    group = {"experiment": "canary_x", "variant": "canary", "source": "live", "errors": 9}
    counts = event("Answers Counted", "b01", device="") | {"properties": {"items": [group]}}
    counts |= {"context": {"device": {"type": "bot"}}}
    no_type = {name: value for name, value in counts.items() if name != "type"}
    spelled = [counts | {"event": name} for name in (" Answers Counted\t", "answers counted", "ANSWERS COUNTED")]
    forged = [counts, no_type, *spelled, counts | {"type": "Track"}, counts | {"type": "Answers Counted", "event": ""}]
    for caller in (token(), token(sub="backend", roles=["app"])):
        posted = asked_with(api, caller, "/v1/events", method="POST", json={"batch": forged}).json()
        assert posted["accepted"] == 0
        assert {each["reason"] for each in posted["events"]} == {
            "the event Answers Counted is written by the API alone: it cannot be posted"
        }


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


@pytest.mark.slow
@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_provider_neither_hangs_nor_opens_the_gateway(
    what: str, api: Running, jwks: JwksServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = patience()
    monkeypatch.setattr(tokens_module, "FETCH_SECONDS", 1.5 * slow)
    jwks.answer = HOSTILE[what]
    forged = jwt.encode(claims(), "xxx" * 11, algorithm="HS256", headers={"kid": "r1"})
    waiting = threading.Thread(target=asked_with, args=(api, token()), daemon=True)
    started = time.monotonic()
    waiting.start()
    assert api.recommended("u01")["source"] == "live"  # a key is not kept waiting
    assert time.monotonic() - started < 1.2 * slow
    assert asked_with(api, token()).status_code == 401
    assert asked_with(api, forged).status_code == 401
    assert time.monotonic() - started < 6 * max(slow, patience())
    assert jwks.asked == ["/jwks"]


def test_roles_and_readers_are_found_in_the_claims_of_the_settings(jwks: JwksServer) -> None:
    nested = checker(jwks, roles_claim="realm_access.roles", user_claim="https://example.com/reader")
    text = token(realm_access={"roles": ["reader", "offline"]}, **{"https://example.com/reader": "r 7"})
    found = asyncio.run(nested.bearer(text))
    assert (found.user_id, found.roles) == ("r 7", frozenset({"reader"}))
    assert "u01" not in found.name
    words = asyncio.run(checker(jwks, roles_claim="scope").bearer(token(scope="openid app")))
    assert (words.user_id, words.roles) == (None, frozenset({"app"}))


def test_where_all_accounts_are_readers_a_token_without_a_role_is_a_readers(jwks: JwksServer) -> None:
    """As in a user pool into which readers sign up by themselves; a role that is named stays the only one."""
    pool = checker(jwks, default_roles=frozenset({"reader"}))
    found = asyncio.run(pool.bearer(token(roles=["book-club"])))
    assert (found.roles, found.user_id) == (frozenset({"reader"}), "u01")
    assert asyncio.run(pool.bearer(token(roles=["analyst"]))).roles == frozenset({"analyst"})
    assert asyncio.run(checker(jwks).bearer(token(roles=["book-club"]))).roles == frozenset()
    given = {"RECSYS_OIDC_ISSUER": ISSUER, "RECSYS_OIDC_AUDIENCE": AUDIENCE, "RECSYS_OIDC_JWKS_URL": jwks.url}
    assert load_settings(given).oidc_default_role == "none"


def test_settings_of_a_provider_are_whole_and_with_tls() -> None:
    given = {"RECSYS_OIDC_ISSUER": ISSUER, "RECSYS_OIDC_AUDIENCE": AUDIENCE}
    with pytest.raises(SettingsError, match="RECSYS_OIDC_JWKS_URL is missing, which RECSYS_OIDC_ISSUER needs"):
        load_settings(given)
    for url in ("http://login.example.com/jwks", "file:///etc/passwd"):
        with pytest.raises(SettingsError, match="RECSYS_OIDC_JWKS_URL"):
            load_settings(given | {"RECSYS_OIDC_JWKS_URL": url})
    assert load_settings(given | {"RECSYS_OIDC_JWKS_URL": "https://login.example.com/jwks"}).oidc_roles_claim == "roles"
