"""The images of gateway and model host: as far as it can be seen without a container engine."""

import fnmatch
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from recsys_platform.cli.app import app

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "infra" / "Dockerfile").read_text()
STAGES = {
    name: body for name, body in re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM |\Z)", TEXT, re.MULTILINE | re.DOTALL)
}
STEPS = (
    "--require-hashes -r requirements-uv.lock",
    "--no-deps --only-binary :all: --require-hashes -r requirements.lock",
    "--no-deps dist/*.whl",
)


def test_what_is_copied_is_there_and_not_ignored() -> None:
    copied = [name for line in re.findall(r"^COPY (?!--from)(.+)$", TEXT, re.MULTILINE) for name in line.split()[:-1]]
    assert len(copied) > 5
    assert [name for name in copied if not (ROOT / name).exists()] == []
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert [name for name in copied if not any(fnmatch.fnmatch(name, each) for each in kept)] == []


@pytest.mark.parametrize("step", STEPS)
def test_it_is_installed_from_the_locks_alone(step: str) -> None:
    assert step in STAGES["build"]
    assert len(re.findall(r"pip install", TEXT)) == len(STEPS)


def test_the_results_have_neither_installer_nor_compiler_nor_root() -> None:
    for name in ("runtime", "model-host", "gateway"):
        assert not re.search(r"gcc|build-essential|pip install|uv ", STAGES[name])
    assert STAGES["runtime"].rstrip().endswith("USER recsys")
    assert "USER" not in STAGES["model-host"] + STAGES["gateway"]


@pytest.mark.parametrize(("stage", "path"), [("gateway", ":8000/healthz"), ("model-host", ":8080/ping")])
def test_a_container_starts_a_command_that_exists_and_says_whether_it_is_well(stage: str, path: str) -> None:
    name, *options = json.loads(re.findall(r"^ENTRYPOINT (.+)$", STAGES[stage], re.MULTILINE)[0])[1:]
    command: Any = typer.main.get_command(app)
    known = {option for each in command.commands[name].params for option in each.opts}
    assert {option for option in options if option.startswith("--")} <= known
    python, flag, code = json.loads(re.findall(r"^HEALTHCHECK \S+ CMD (.+)$", STAGES[stage], re.MULTILINE)[0])
    assert (python, flag, path in code) == ("python", "-c", True)
    refused = subprocess.run([sys.executable, flag, code.replace(path, ":1/")], check=False, capture_output=True)
    assert refused.returncode == 1


def test_sagemaker_starts_the_model_host_with_its_word() -> None:
    assert STAGES["model-host"].rstrip().endswith('ENTRYPOINT ["recsys", "model-host"]\nCMD ["serve"]')
