"""A model host answers by SageMaker's contract as the model in the gateway would; a gateway answers whatever becomes of its hosts."""

import asyncio
import csv
import datetime as dt
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from botocore.exceptions import ClientError
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from recsys_platform.common.clock import naive_utc_now
from recsys_platform.experiments.definitions import parse_experiments
from recsys_platform.recommender.lists.list_rules import parse_list_rules
from recsys_platform.recommender.registry.versions import PRODUCTION
from recsys_platform.serving.errors import ArtifactError, BackendError, NoSuchModelError, RequestRefusedError
from recsys_platform.serving.following import Follower, ServedModel
from recsys_platform.serving.gateway.server import host_at
from recsys_platform.serving.model_host import app as host_app
from recsys_platform.serving.model_host.folder import CATALOG, load_host_folder, write_host_folder
from recsys_platform.serving.model_hosts import DEADLINE_SECONDS, HttpHost, ModelHosts
from recsys_platform.serving.recommending import Query, live_answer
from recsys_platform.serving.routing import Routing
from recsys_platform.serving.sagemaker.runtime import _backend_error
from recsys_platform.serving.shadow import SECONDS as SHADOW_SECONDS
from recsys_platform.serving.snapshot import Profile, current_version, open_snapshot
from tests.support.pace import patience, wait_until
from tests.support.serving_world import Running, ServingWorld, event, make_world

Start = Callable[..., Running]
READER = Profile(language="en", history=("b01", "b05", "b09"), finished=("b05",), out=("b02", "b05"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> ServingWorld:
    made = make_world(tmp_path_factory.mktemp("hosted"))
    made.publish(parse_list_rules({"exploration": {"slots": [3, 5]}}))
    return made


@pytest.fixture(scope="module")
def folder(world: ServingWorld) -> Path:
    return write_host_folder(world.home, world.registry, world.versions["item_knn"])


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Host:
    """`recsys model-host` in a process of its own."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        options = ("model-host", "serve", "--host", "127.0.0.1", "--port", str(self.port))
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from recsys_platform.cli.app import main; main()", *options],
            env=os.environ | {"SM_MODEL_DIR": str(folder)},
            stdout=subprocess.DEVNULL,
        )
        until = time.monotonic() + 60
        while not self.is_ready():
            assert self.process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/ping").status_code == 200
        except httpx.HTTPError:
            return False

    def invoke(self, **request: Any) -> httpx.Response:
        return httpx.post(f"{self.url}/invocations", json=request)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def host(folder: Path) -> Iterator[Host]:
    started = Host(folder)
    yield started
    started.kill()


def request_of(profile: Profile, **more: Any) -> dict[str, Any]:
    given = {name: list(getattr(profile, name)) for name in ("history", "finished", "interests", "out")}
    return {**given, "language": profile.language, "tier": "free" if profile.free else "premium", **more}


def in_process(world: ServingWorld) -> ServedModel:
    follower = Follower(world.home, world.registry)
    follower.refresh()
    return follower.served.models[PRODUCTION]


def test_a_host_answers_as_the_model_in_the_gateway_does(host: Host, world: ServingWorld) -> None:
    model = in_process(world)
    for seed in (0, 7, 2**64 - 1):
        for profile in (READER, Profile(), Profile(language="de", free=False, history=("b03",))):
            expected = live_answer(model, profile, Query(k=8), seed)
            found = host.invoke(**request_of(profile, k=8, seed=seed)).json()
            assert (found["model"], found["version"]) == (expected.model, expected.model_version)
            assert [(e["book_id"], e["score"], e["propensity"], e["because"], e["reason"]) for e in found["items"]] == [
                (e.book_id, e.score, e.propensity, e.because_book_id, e.reason) for e in expected.items
            ]


def test_lists_are_given_and_taken_as_csv(host: Host) -> None:
    text = "history,language,out,k,seed\nb01|b05|b09,en,b02|b05,4,7\n,de,,3,\n"
    found = httpx.post(f"{host.url}/invocations", content=text, headers={"content-type": "text/csv; charset=utf-8"})
    assert found.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(found.text)))
    assert [(row["request"], row["rank"]) for row in rows] == [("0", str(n)) for n in (1, 2, 3, 4)] + [
        ("1", str(n)) for n in (1, 2, 3)
    ]
    one = host.invoke(history=["b01", "b05", "b09"], language="en", out=["b02", "b05"], k=4, seed=7).json()
    assert [row["book_id"] for row in rows[:4]] == [each["book_id"] for each in one["items"]]
    headers = {"content-type": "text/csv", "accept": "application/json"}
    assert len(httpx.post(f"{host.url}/invocations", content=text, headers=headers).json()) == 2
    wanted = httpx.post(f"{host.url}/invocations", json={"k": 2}, headers={"accept": "text/csv"})
    assert len(wanted.text.splitlines()) == 3


REFUSED: dict[str, tuple[bytes, str, int]] = {
    "no JSON": (b"{", "application/json", 400),
    "an unknown field": (b'{"user_id": "u01"}', "application/json", 400),
    "k of 0": (b'{"k": 0}', "application/json", 400),
    "a deep one": (b'{"history": ' + b"[" * 100_000, "application/json", 400),
    "CSV without rows": (b"history,k\n", "text/csv", 400),
    "CSV with a field too many": (b"k\n3,4\n", "text/csv", 400),
    "CSV of too many rows": (b"k\n" + b"1\n" * 20_000, "text/csv", 413),
    "CSV of too many rows of an old Mac": (b"k\r" + b"1\r" * 20_000, "text/csv", 413),
    "CSV that is not UTF-8": (b"language\n\xff\n", "text/csv", 400),
    "another media type": (b"x", "application/x-npy", 415),
    "too much": (b" " * (6 * 1024 * 1024 + 1), "application/json", 413),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_request_that_is_not_valid_is_refused_with_a_sentence(what: str, host: Host) -> None:
    content, media_type, status = REFUSED[what]
    found = httpx.post(f"{host.url}/invocations", content=content, headers={"content-type": media_type})
    assert (found.status_code, found.json()["detail"][-1]) == (status, ".")


def test_an_answer_has_at_most_as_many_bytes_as_sagemaker_takes(
    world: ServingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert host_app.MOST_BYTES == 6 * 1024 * 1024
    monkeypatch.setattr(host_app, "MOST_BYTES", 1000)
    model = in_process(world)

    def invoke(content: str, media_type: str = "application/json") -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(host_app.create_host(lambda alias: model))
            async with httpx.AsyncClient(transport=transport, base_url="http://host") as client:
                return await client.post("/invocations", content=content, headers={"content-type": media_type})

        return asyncio.run(ask())

    assert [invoke(f'{{"k": {k}}}').status_code for k in (1, 30)] == [200, 413]
    monkeypatch.setattr(host_app, "INVOCATION_SECONDS", 0.0)
    many = invoke("k\n1\n1\n", "text/csv")
    assert (many.status_code, "ask for less at once" in many.json()["detail"]) == (413, True)


def test_a_host_counts_its_requests_by_alias_and_tells_the_age_of_its_models(world: ServingWorld) -> None:
    model, yesterday = in_process(world), naive_utc_now() - dt.timedelta(days=1)
    app = host_app.create_host({PRODUCTION: model}.get, trained=lambda: {PRODUCTION: yesterday})

    async def ask() -> str:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://host") as client:
            for content in ('{"k": 1}', '{"k": 1}', "no JSON"):
                await client.post("/invocations", content=content)
            for alias in ("made-up", "another"):
                await client.post(f"/models/{alias}/invocations", content="{}")
            return (await client.get("/metrics")).text

    found = {
        (each.name, *each.labels.values()): each.value
        for family in text_string_to_metric_families(asyncio.run(ask()))
        for each in family.samples
    }
    requests = {name[1:]: value for name, value in found.items() if name[0] == "recsys_host_requests_total"}
    assert requests == {("production", "200"): 2, ("production", "400"): 1, ("unknown", "404"): 2}
    assert found["recsys_host_request_seconds_count", "production"] == 3
    assert 86_400 <= found["recsys_host_model_age_seconds", "production"] < 87_000


def test_books_are_put_in_order_and_unknown_ones_left_out(host: Host) -> None:
    found = host.invoke(history=["b01"], books=["b07", "nothing", "b03"]).json()
    assert {each["book_id"] for each in found["items"]} == {"b03", "b07"}
    assert host.invoke(books=["nothing"]).json()["items"] == []
    assert httpx.get(f"{host.url}/models/challenger/ping").status_code == 503


def test_no_reader_is_in_the_folder_of_a_host(folder: Path) -> None:
    for path in folder.iterdir():
        assert b"u01" not in path.read_bytes()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "another item catalog": lambda folder: change(folder, catalogue_hash="other"),
    "no catalog": lambda folder: (folder / CATALOG).unlink(),
    "changed rules": lambda folder: (folder / "list_rules.json").write_text("{}"),
    "no books": lambda folder: (folder / "items.parquet").unlink(),
    "other golden answers": lambda folder: (folder / "golden.json").write_text("{}"),
}


def change(folder: Path, **values: object) -> None:
    path = folder / CATALOG
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_folder_is_refused(what: str, folder: Path, tmp_path: Path) -> None:
    copied = copy(folder, tmp_path / "model")
    DAMAGE[what](copied)
    with pytest.raises(ArtifactError):
        load_host_folder(copied)


def copy(folder: Path, target: Path) -> Path:
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


@pytest.mark.slow
def test_a_new_model_is_loaded_while_requests_are_answered_and_a_damaged_one_is_not(
    world: ServingWorld, folder: Path, tmp_path: Path
) -> None:
    other = write_host_folder(world.home, world.registry, world.versions["ease"])
    served = tmp_path / "model"
    served.symlink_to(folder)
    running = Host(served)
    try:
        swap(served, copy_damaged(other, tmp_path / "damaged"))
        until, versions = time.monotonic() + 3, set()
        while time.monotonic() < until:
            versions.add(running.invoke(k=3).json()["model"])
        assert versions == {"item_knn"}
        swap(served, other)
        until = time.monotonic() + 20
        while "ease" not in versions:
            assert time.monotonic() < until
            found = running.invoke(k=3)
            assert found.status_code == 200
            versions.add(found.json()["model"])
    finally:
        running.kill()


def copy_damaged(folder: Path, target: Path) -> Path:
    (copy(folder, target) / "golden.json").write_text("{}")
    return target


def swap(link: Path, target: Path) -> None:
    draft = link.with_name("next")
    draft.symlink_to(target)
    draft.rename(link)


@pytest.mark.slow
def test_a_host_answers_what_it_was_asked_before_a_signal_ends_it(folder: Path) -> None:
    running = Host(folder)
    rows = "k\n" + "20\n" * 2000
    answers: list[httpx.Response] = []

    def ask() -> None:
        headers = {"content-type": "text/csv"}
        answers.append(httpx.post(f"{running.url}/invocations", content=rows, headers=headers, timeout=60))

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.3)
    running.process.send_signal(signal.SIGTERM)
    asking.join()
    assert running.process.wait(timeout=30) in (0, 143)
    assert answers[0].status_code == 200
    assert len(answers[0].text.splitlines()) > 2000


# A gateway and its hosts


def books(answer: Any) -> list[str]:
    return [each["book_id"] for each in answer["items"]]


def without_ids(answer: Any) -> Any:
    """An answer without the ids of the request, which no two requests share."""
    items = [{name: value for name, value in item.items() if name != "request_id"} for item in answer["items"]]
    return answer | {"request_id": "", "items": items}


def gateway_with(world: ServingWorld, run_gateway: Start, *urls: str) -> Running:
    follower = Follower(world.home, world.registry, loads_models=False)
    return run_gateway(world, follower=follower, backend=ModelHosts({url: host_at(url) for url in urls}))


def test_a_gateway_without_models_answers_as_one_that_has_them(
    host: Host, world: ServingWorld, run_gateway: Start
) -> None:
    remote, local = gateway_with(world, run_gateway, host.url), run_gateway(world, "local")
    for reader in ("u01", "u02", "nobody"):
        for more in ({}, {"k": 4, "offset": 3}, {"language": "de"}, {"categories": "war"}, {"exclude": "b01,b02"}):
            path = f"/v1/users/{reader}/recommendations"
            found, expected = (without_ids(each.client.get(path, params=more).json()) for each in (remote, local))
            assert found == expected
            assert found["source"] == "live"
    for each in (remote, local):
        each.post(event("Book Finished", books(each.recommended("u03"))[0], user="u03"))
    assert books(remote.recommended("u03", k=2)) == books(local.recommended("u03", k=2))
    asked = {"user_id": "u01", "book_ids": ["b01", "nothing", "b02"]}
    ranked = [each.client.post("/v1/rank", json=asked).json() for each in (remote, local)]
    assert [books(each) for each in ranked] == [books(ranked[0])] * 2
    guests = [each.client.post("/v1/recommendations", json={"k": 3}).json() for each in (remote, local)]
    assert {each["source"] for each in guests} == {"live"}
    assert remote.gateway.follower.served.models == {}


@pytest.mark.slow
def test_fallbacks_answer_in_time_while_a_host_is_stopped_killed_and_started(
    folder: Path, world: ServingWorld, run_gateway: Start
) -> None:
    running = Host(folder)
    api = gateway_with(world, run_gateway, running.url)
    wait_for_live(api, "u04")
    running.process.send_signal(signal.SIGSTOP)
    waits = [waited(api, "published") for _ in range(20)]
    assert max(waits) < 0.5 * patience()  # of 0.08 on a machine that does nothing else
    assert sorted(waits)[10] < 0.06 * patience()  # most do not wait at all: the circuit is open
    running.process.send_signal(signal.SIGCONT)
    wait_for_live(api, "u05")  # what stood in is not kept
    running.kill()
    assert max(waited(api, "published") for _ in range(10)) < 0.5 * patience()
    again = Host(folder, running.port)
    try:
        wait_for_live(api, "u06")
    finally:
        again.kill()
    assert b'recsys_failures_total{what="model host"}' in api.client.get("/metrics").content


def wait_for_live(api: Running, user: str) -> None:
    wait_until(lambda: api.recommended(user)["source"] == "live", pause=0.2)


def waited(api: Running, source: str) -> float:
    started = time.monotonic()
    found = api.recommended("u07", surface=f"s{started}")
    assert found["source"] in (source, "popular")
    return time.monotonic() - started


def test_a_request_goes_to_another_host_when_one_refuses(host: Host, world: ServingWorld, run_gateway: Start) -> None:
    api = gateway_with(world, run_gateway, f"http://127.0.0.1:{free_port()}", f"{host.url}/models/{{variant}}")
    for number in range(10):
        assert api.recommended("u08", surface=f"s{number}")["source"] == "live"


def test_a_model_that_a_host_has_not_loaded_is_answered_by_the_fallbacks_and_harms_no_other(
    host: Host, world: ServingWorld, run_gateway: Start
) -> None:
    hosts = ModelHosts({"host": HttpHost(host.url)}, 5.0)
    routing = Routing(lambda: parse_experiments({"trial": {"variants": {"new": {"model": "99", "weight": 100}}}}))
    follower = Follower(world.home, world.registry, routing, loads_models=False)
    api = run_gateway(world, follower=follower, backend=hosts)
    follower.refresh()
    for number in range(5):
        found = api.recommended("u01", surface=f"s{number}")
        assert (found["source"], found["variant"]) == ("published", "new")
        assert api.client.post("/v1/rank", json={"user_id": "u01", "book_ids": ["b07"]}).json()["source"] == "live"
    assert 'recsys_failures_total{what="model host"}' not in api.client.get("/metrics").text


@pytest.fixture
def runtime(host: Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[httpx.Request]]:
    """A server that speaks the protocol of SageMaker's runtime, with the host behind `recsys`; gives what it was asked."""
    asked: list[Any] = []

    async def invoke(request: Request) -> Response:
        asked.append(request)
        if request.path_params["endpoint"] != "recsys":
            problem = {"message": "Endpoint none of account 123456789012 not found."}
            return JSONResponse(problem, 400, headers={"x-amzn-errortype": "ValidationError"})
        content, kind = await request.body(), request.headers["content-type"]
        async with httpx.AsyncClient() as client:
            found = await client.post(f"{host.url}/invocations", content=content, headers={"content-type": kind})
        return Response(found.content, found.status_code, media_type=found.headers["content-type"])

    app = Starlette(routes=[Route("/endpoints/{endpoint}/invocations", invoke, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=free_port(), log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("DEFAULT_REGION", "eu-west-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", f"http://127.0.0.1:{server.config.port}")
    yield asked
    server.should_exit = True
    thread.join(timeout=30)


def test_an_endpoint_of_sagemaker_is_a_host(
    runtime: list[Any], world: ServingWorld, run_gateway: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = host_at("sagemaker://recsys", seconds=10.0)  # on a busy machine
    hosts = ModelHosts({"sagemaker": patient}, 5.0)
    api = run_gateway(world, follower=Follower(world.home, world.registry, loads_models=False), backend=hosts)
    local = run_gateway(world, "local")
    for _ in range(3):
        found, expected = (
            without_ids(each.client.get("/v1/users/u01/recommendations").json()) for each in (api, local)
        )
        assert found == expected
    assert {each.headers["authorization"].partition(" ")[0] for each in runtime} == {"AWS4-HMAC-SHA256"}
    assert {each.headers.get("x-amzn-sagemaker-target-variant") for each in runtime} == {None}
    patient.invoke("challenger", b'{"k": 1}', 5.0)
    assert runtime[-1].headers["x-amzn-sagemaker-target-variant"] == "challenger"
    nowhere = host_at("sagemaker://none", seconds=10.0)
    with pytest.raises(BackendError, match="AWS answered ValidationError"):
        nowhere.invoke(PRODUCTION, b"{}", 5.0)
    with pytest.raises(NoSuchModelError):  # a canary of a version that is no variant waits, and does not fail
        nowhere.invoke("12", b"{}", 5.0)


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("ModelError", 404, NoSuchModelError),
        ("ModelError", 400, RequestRefusedError),
        ("ModelError", 500, BackendError),
        ("ThrottlingException", 0, BackendError),
    ],
)
def test_an_answer_of_the_container_behind_an_endpoint_is_what_it_is_over_http(
    code: str, status: int, kind: type[BackendError]
) -> None:
    """Only what the model itself fails at is an error of the model."""
    answer = {"Error": {"Code": code}, "OriginalStatusCode": status}
    found = _backend_error(ClientError(answer, "InvokeEndpoint"), has_target=False)  # type: ignore[arg-type]
    assert type(found) is kind


@pytest.mark.usefixtures("runtime")
def test_a_shadow_on_an_endpoint_has_its_own_time() -> None:
    """With the time of an answer, only quick shadows would be compared."""
    found = host_at("sagemaker://recsys", seconds=SHADOW_SECONDS)
    assert found._client.meta.config.read_timeout == SHADOW_SECONDS == 0.5
    assert host_at("sagemaker://recsys")._client.meta.config.read_timeout == DEADLINE_SECONDS


@pytest.mark.usefixtures("runtime")
def test_an_endpoint_that_is_slow_or_gone_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for port in (silent.getsockname()[1], free_port()):
            monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", f"http://127.0.0.1:{port}")
            asked = host_at("sagemaker://recsys")
            started = time.monotonic()
            with pytest.raises(BackendError):
                asked.invoke(PRODUCTION, b"{}", 0.06)
            assert time.monotonic() - started < 0.5 * patience()


def test_an_answer_that_is_no_answer_falls_to_the_next_fallback(world: ServingWorld, run_gateway: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer_nonsense, args=(server,), daemon=True).start()
        api = gateway_with(world, run_gateway, f"http://127.0.0.1:{server.getsockname()[1]}")
        for number in range(5):
            assert api.recommended("u09", surface=f"s{number}")["source"] in ("published", "popular")


def answer_nonsense(server: socket.socket) -> None:
    answers = (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", b"nonsense\r\n\r\n", b"HTTP/1.1 302 Found\r\n\r\n")
    for number in range(100):
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            connection.recv(65_536)
            connection.sendall(answers[number % len(answers)])


def test_a_host_needs_a_snapshot_of_the_same_books(world: ServingWorld, tmp_path: Path) -> None:
    snapshot = open_snapshot(world.home / "snapshots" / str(current_version(world.home / "snapshots")))
    assert snapshot.manifest["catalogue_hash"]
    with pytest.raises(Exception, match="There is no serving snapshot"):
        write_host_folder(tmp_path, world.registry, world.versions["ease"])
