"""The clients that are generated from the OpenAPI document: of this document, and used as an app uses them."""

import asyncio
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from recsys_platform.serving.gateway.examples import QUICK_STARTS
from recsys_platform.serving.gateway.keys import KeyStore
from tests.support.servers import free_port, running
from tests.support.serving_world import Running, ServingWorld

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "clients"
BIN = Path(sys.executable).parent
AGAIN = "run `make clients` and commit what it changes"
NODE_MODULES = CLIENTS / "typescript" / "node_modules"
without_packages = pytest.mark.skipif(
    not (NODE_MODULES / ".package-lock.json").exists(),
    reason="the packages of the TypeScript client are not installed: `make clients`, which needs the npm registry",
)


def test_the_clients_are_of_the_document_that_the_api_serves_now() -> None:
    now = runpy.run_path(str(ROOT / "scripts" / "clients.py"))["document_of_clients"]()
    assert json.loads((CLIENTS / "openapi.json").read_text()) == now, AGAIN


def test_what_is_generated_was_not_changed_by_hand() -> None:
    recorded = json.loads((CLIENTS / "generated.json").read_text())
    assert runpy.run_path(str(ROOT / "scripts" / "clients.py"))["hashes"]() == recorded, AGAIN


@pytest.mark.parametrize("language", QUICK_STARTS)
def test_a_quick_start_has_five_lines_and_the_pages_show_it(language: str) -> None:
    code = QUICK_STARTS[language]
    assert len([line for line in code.splitlines() if line]) <= 5
    for page in (ROOT / "docs" / "serving.md", CLIENTS / language.lower() / "README.md"):
        assert f"```{language.lower()}\n{code}```" in page.read_text(), page


@pytest.fixture
def recsys_client(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(CLIENTS / "python")
    import recsys_client

    return recsys_client


@pytest.fixture
def api(serving_world: ServingWorld, run_gateway: Callable[..., Running]) -> Running:
    return run_gateway(serving_world)


def key_of(api: Running) -> str:
    return api.client.headers["authorization"].removeprefix("Bearer ")


def test_the_python_client_asks_what_an_app_asks(api: Running, recsys_client: Any) -> None:
    from recsys_client import models

    with recsys_client.Recsys(api.url, token=key_of(api)) as client:
        found = client.recommendations("u01", k=3)
        assert [item.book.title for item in found.items] == [f"Title of {item.book_id}" for item in found.items]
        assert client.home("u01").shelves[0].name == "for_you"
        ranked = client.rank(body=models.RankRequest(user_id="u01", book_ids=["b01", "nothing"]))
        assert (len(ranked.items), ranked.unknown) == (1, ["nothing"])
        finished = models.GuestEvent(event="Book Finished", book_id=found.items[0].book_id)
        guest = client.guest_recommendations(body=models.GuestRequest(events=[finished], k=2))
        assert (guest.source, len(guest.items)) == ("live", 2)
        event = models.Event(
            message_id="m1",
            timestamp="2026-11-22T10:00:00Z",
            event="Book Finished",
            user_id="u01",
            properties=models.EventProperties.from_dict({"book_id": found.items[0].book_id}),
        )
        assert client.post_events(body=models.EventBatch(batch=[event])).accepted == 1
        assert found.items[0].book_id not in [item.book_id for item in client.recommendations("u01", k=3).items]
        assert client.explanation(found.request_id).user_id == "u01"
        assert client.popular(k=1).source == "popular"
        assert client.readyz().status == "ready"
        assert "recsys_requests_total" in client.metrics()


def test_the_python_client_raises_problems(api: Running, recsys_client: Any) -> None:
    with recsys_client.Recsys(api.url, token=key_of(api)) as client:
        with pytest.raises(recsys_client.ApiError, match="404 There is no such book") as raised:
            client.similar("nothing? ü")
        assert raised.value.problem.type_ == "urn:recsys:problem:not-found"
        assert raised.value.request_id == raised.value.problem.request_id
    with recsys_client.Recsys(api.url, token="wrong") as client, pytest.raises(recsys_client.ApiError, match="401"):  # noqa: S106
        client.popular()


def test_the_python_client_works_with_asyncio(api: Running, recsys_client: Any) -> None:
    async def ask() -> list[int]:
        async with recsys_client.AsyncRecsys(api.url, token=key_of(api)) as client:
            found = await asyncio.gather(*(client.recommendations(f"u0{n}", k=n) for n in (1, 2, 3)))
            return [len(each.items) for each in found]

    assert asyncio.run(ask()) == [1, 2, 3]


class Served(NamedTuple):
    """A `recsys serve` as a process of its own, and a key."""

    url: str
    key: str

    def quick_start(self, language: str) -> str:
        return QUICK_STARTS[language].replace("http://127.0.0.1:8000", self.url).replace("u0000013", "u01")


@pytest.fixture(scope="module")
def served(serving_world: ServingWorld) -> Iterator[Served]:
    home, port = serving_world.home.parent, free_port()
    key = KeyStore(serving_world.home / "keys", "local").create("a client")[1]
    command = ["env", f"RECSYS_HOME={home}", str(BIN / "recsys"), "serve", "--port", str(port)]
    with running(command, f"http://127.0.0.1:{port}/healthz"):
        yield Served(f"http://127.0.0.1:{port}", key)


def titles_in(output: str) -> list[str]:
    return re.findall(r"Title of b\d\d", output)


@pytest.mark.slow  # starts a server, and checks types
def test_the_quick_start_in_python_runs_and_its_types_are_right(served: Served, tmp_path: Path) -> None:
    script = tmp_path / "quick_start.py"
    script.write_text(f"import os\n\nkey = os.environ['KEY']\n{served.quick_start('Python')}")
    environment = {
        **os.environ,
        "KEY": served.key,
        "PYTHONPATH": str(CLIENTS / "python"),
        "MYPYPATH": str(CLIENTS / "python"),
    }
    done = subprocess.run([sys.executable, script], check=True, capture_output=True, text=True, env=environment)
    assert len(titles_in(done.stdout)) == 10
    wrong = tmp_path / "wrong.py"
    wrong.write_text(script.read_text().replace("item.book.title", "item.book.heading"))
    command = [BIN / "mypy", "--strict", "--config-file", os.devnull, "--cache-dir", tmp_path / "mypy", script, wrong]
    checked = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, cwd=tmp_path)
    [error, summary] = checked.stdout.splitlines()
    assert 'wrong.py:8: error: "Book" has no attribute "heading"' in error
    assert summary.startswith("Found 1 error")


@pytest.mark.slow  # builds a wheel
def test_the_python_client_is_a_package_of_its_own(tmp_path: Path) -> None:
    source = Path(shutil.copytree(CLIENTS / "python", tmp_path / "source"))
    command = [
        BIN / "uv",
        "build",
        "--quiet",
        "--wheel",
        "--offline",
        "--no-build-isolation",
        "--python",
        sys.executable,
    ]
    subprocess.run([*command, "-o", tmp_path, source], check=True)
    [wheel] = tmp_path.glob("recsys_client-*.whl")
    listed = subprocess.run([sys.executable, "-m", "zipfile", "-l", wheel], check=True, capture_output=True, text=True)
    assert "recsys_client/py.typed" in listed.stdout
    assert "templates" not in listed.stdout


def node(*arguments: object, **environment: str) -> str:
    command = [str(each) for each in (BIN / "node", *arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **environment})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def typescript_app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an app that has the built client among its packages."""
    app = tmp_path_factory.mktemp("app")
    package = app / "node_modules" / "recsys-client"
    shutil.copytree(CLIENTS / "typescript", package, ignore=shutil.ignore_patterns("node_modules", "dist"))
    (package / "node_modules").symlink_to(NODE_MODULES)
    (app / "package.json").write_text('{"type": "module"}')
    node(NODE_MODULES / "typescript" / "bin" / "tsc", "--project", package)
    return app


def run_typescript(app: Path, name: str, **environment: str) -> str:
    """Check the types of a file of the app and run it."""
    tsc = [NODE_MODULES / "typescript" / "bin" / "tsc", "--strict", "--noUncheckedIndexedAccess", "--skipLibCheck"]
    options = ["--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom,dom.iterable"]
    node(*tsc, *options, "--outDir", app / "out", app / name)
    return node(app / "out" / name.replace(".ts", ".js"), **environment)


@without_packages
@pytest.mark.slow  # starts a server and compilers
def test_the_typescript_client_asks_what_an_app_asks(served: Served, typescript_app: Path) -> None:
    shutil.copy(Path(__file__).parent / "typescript" / "contract.ts", typescript_app)
    found = json.loads(run_typescript(typescript_app, "contract.ts", API=served.url, KEY=served.key))
    assert (len(titles_in(str(found["titles"]))), found["source"], found["shelves"][0]) == (3, "live", "for_you")
    assert (found["unknown"], found["guest"], found["accepted"]) == (["nothing"], 2, 1)
    assert found["problem"] == [404, "There is no such book in the item catalog."]
    assert found["again"] == found["header"] != found["first"]
    assert found["items"] == [found["header"]]


@without_packages
@pytest.mark.slow  # starts a server and compilers
def test_the_quick_start_in_typescript_runs_and_its_types_are_right(served: Served, typescript_app: Path) -> None:
    start = f"declare const process: any;\nconst key: string = process.env.KEY;\n{served.quick_start('TypeScript')}"
    (typescript_app / "quick_start.ts").write_text(start)
    assert len(titles_in(run_typescript(typescript_app, "quick_start.ts", KEY=served.key))) == 10


@without_packages
def test_the_types_for_typescript_are_those_of_the_document(tmp_path: Path) -> None:
    made = tmp_path / "schema.ts"
    runpy.run_path(str(ROOT / "scripts" / "clients.py"))["write_typescript_schema"](made)
    assert made.read_text() == (CLIENTS / "typescript" / "src" / "schema.ts").read_text(), AGAIN


def test_no_registry_is_named_where_the_packages_of_the_client_are_locked() -> None:
    locked = json.loads((CLIENTS / "typescript" / "package-lock.json").read_text())["packages"]
    assert [name for name, each in locked.items() if "resolved" in each] == []
    assert [name for name, each in locked.items() if name and "integrity" not in each] == []
