"""The wheel: all files that the code reads are in it, and it works far from a checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import httpx
import pytest

from tests.support.pace import wait_until
from tests.support.servers import free_port

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).with_name("uv")
OTHERS_SCRIPTS = ("dagster", "dbt")
ASSETS = "from recsys_platform.definitions import defs; print(*(key.to_user_string() for key in defs().resolve_all_asset_keys()))"
IMPORT_ALL = """
import importlib, pkgutil
import recsys_platform
modules = [found.name for found in pkgutil.walk_packages(recsys_platform.__path__, "recsys_platform.")]
for name in modules:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(len(modules), recsys_platform.__path__[0])
"""
TRANSFORM = """
from recsys_platform.config.factories import warehouse_of
from recsys_platform.config.settings import load_settings
from recsys_platform.pipeline import transform

settings = load_settings()
transform(settings, warehouse_of(settings))
"""
SMALL = ("--readers", "60", "--books", "40", "--days", "4", "--seed", "1")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as for a release: a source archive first, then the wheel from that alone."""
    folder = tmp_path_factory.mktemp("dist")
    command = [UV, "build", "--quiet", "--offline", "--no-build-isolation", "--python", sys.executable, "-o", folder]
    done = subprocess.run([*command, ROOT], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [built] = folder.glob("*.whl")
    return built


def names_in(wheel: Path, folder: str) -> set[str]:
    """The files below a folder of the wheel, by their path in it."""
    with zipfile.ZipFile(wheel) as archive:
        return {name.removeprefix(folder) for name in archive.namelist() if name.startswith(folder)}


def tracked(folder: str) -> set[str]:
    """The files of a folder of the repository that are neither ignored by git nor compiled, by their path in it."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", folder]
    found = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return {name.removeprefix(f"{folder}/") for name in found if (ROOT / name).exists()}


def test_every_file_of_the_package_and_of_the_dbt_project_is_in_the_wheel_and_nothing_else(wheel: Path) -> None:
    beside = {"dbt_project/": "dbt_project", "notebook/examples/": "notebooks"}
    package = {name for name in names_in(wheel, "recsys_platform/") if not name.startswith(tuple(beside))}
    assert package == tracked("recsys_platform")
    for inside, folder in beside.items():
        assert names_in(wheel, f"recsys_platform/{inside}") == tracked(folder)


def test_the_wheel_says_its_license_its_pythons_and_its_extras(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        [name] = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        told = Parser().parsestr(archive.read(name).decode())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert told["License-Expression"] == "Apache-2.0"
    assert told.get_all("License-File") == ["LICENSE"]
    assert set(told["Requires-Python"].split(",")) == set(project["requires-python"].split(","))
    assert set(told.get_all("Provides-Extra")) == set(project["optional-dependencies"])


class Installation:
    """A virtual environment that holds the wheel; what that depends on is borrowed from the environment of these tests."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        venv.create(folder, symlinks=True)
        self.python, self.bin = folder / "bin" / "python", folder / "bin"
        self.packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
        command = [UV, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", self.python, wheel]
        subprocess.run(command, check=True)
        # Dependencies are 1 GB and a quarter of an hour to install anew. A path that a .pth file names comes after the packages of the
        # environment, and the .pth files beside it are not read: a checkout that is installed there for editing stays out of sight.
        (self.packages / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
        for name in OTHERS_SCRIPTS:
            body = Path(sys.executable).with_name(name).read_text().partition("\n")[2]
            (self.bin / name).write_text(f"#!{self.python}\n{body}")
            (self.bin / name).chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        """Variables with no setting of this process."""
        return {"PATH": f"{self.bin}{os.pathsep}{os.defpath}", "HOME": os.environ["HOME"]}

    def run(self, folder: Path, *command: str) -> str:
        """What a program of the environment prints that is run in a folder."""
        started = [self.bin / command[0], *command[1:]]
        done = subprocess.run(started, cwd=folder, env=self.environment, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def answers(self, folder: Path, *paths: str) -> list[int]:
        """The statuses with which `recsys serve`, started in a folder, answers somebody with a key."""
        key = self.run(folder, "recsys", "keys", "create", "app").split()[-1]
        url = f"http://127.0.0.1:{(port := free_port())}"
        command = [self.bin / "recsys", "serve", "--port", str(port)]
        with subprocess.Popen(command, cwd=folder, env=self.environment, stdout=subprocess.DEVNULL) as server:
            try:
                with httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=60) as client:
                    wait_until(lambda: is_ready(client), what="the wheel's gateway is ready")
                    return [client.get(path).status_code for path in paths]
            finally:
                server.terminate()

    def files(self) -> set[Path]:
        """Every file of the environment but what Python and numba compile."""
        return {path for path in self.packages.rglob("*") if path.is_file() and path.parent.name != "__pycache__"}


def is_ready(client: httpx.Client) -> bool:
    """Whether a gateway answers that it is ready."""
    try:
        return client.get("/readyz").is_success
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def installation(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("wheel") / "environment"
    yield Installation(folder, wheel)
    shutil.rmtree(folder)


@pytest.mark.slow
def test_every_module_is_imported_and_the_definitions_are_valid_in_an_empty_folder(
    installation: Installation, tmp_path: Path
) -> None:
    found = installation.run(tmp_path, "python", "-c", IMPORT_ALL).split()
    assert int(found[0]) > 200
    assert Path(found[1]).is_relative_to(installation.packages)
    assets = installation.run(tmp_path, "python", "-c", ASSETS).split()
    assert {"staging/stg_segment__events", "models/lightfm", "published/user_recommendations"} <= set(assets)
    assert list((tmp_path / ".recsys" / "dbt").glob("project-*/manifest.json"))


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_a_world_is_made_run_and_shown_in_an_empty_folder_and_nothing_is_written_elsewhere(
    installation: Installation, tmp_path: Path
) -> None:
    """A whole run, since a file that one step alone reads, such as a statement, a seed or a template, is missed by no smaller one."""
    before = installation.files()
    assert "variants.yaml: written" in installation.run(tmp_path, "recsys", "init")
    installation.run(tmp_path, "recsys", "demo", *SMALL)
    assert "kpis.html" in installation.run(tmp_path, "recsys", "report")
    assert "lightfm" in installation.run(tmp_path, "recsys", "models")
    installation.run(tmp_path, "python", "-c", TRANSFORM)
    assert "full rebuild" in installation.run(tmp_path, "recsys", "costs")
    assert "files published" in installation.run(tmp_path, "recsys", "site", "publish")
    assert (tmp_path / ".recsys" / "site" / "dbt" / "index.html").exists()
    assert installation.answers(tmp_path, "/v1/popular", "/docs", "/") == [200, 200, 200]
    assert {path.name for path in tmp_path.iterdir()} == {".recsys"}
    assert installation.files() == before
