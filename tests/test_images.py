"""The images of infra/Dockerfile: what can be seen of them without an engine, and where one can be had, built and started."""

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main

from infra.names import PORTS
from infra.processes import DAGSTER_HOME, HEALTH_CHECKS, IMAGES, USER_ID, WORLD, dagster_command, mlflow_options
from recsys_platform.cli.app import app
from tests.support.authorities import environment_of_this_machine

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "infra" / "Dockerfile").read_text()
STAGES = {
    name: body for name, body in re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM |\Z)", TEXT, re.MULTILINE | re.DOTALL)
}
PARENT = {name: parent for parent, name in re.findall(r"^FROM (\S+) AS (\S+)$", TEXT, re.MULTILINE)}
STEPS = (
    "--only-binary :all: --require-hashes -r build.lock",
    "--no-deps --only-binary :all: --require-hashes -r requirements.lock",
    "--no-deps --only-binary :all: --require-hashes -r mlflow.lock",
    "--no-deps dist/*.whl",
)
CHECK = ROOT / "scripts" / "image_check.py"
BUILD = ROOT / "scripts" / "image_build.py"


def instruction(stage: str, name: str) -> Any:
    """The JSON after an instruction of a stage."""
    found = re.findall(rf"^{name} [^\[\n]*(\[.+\])$", STAGES[stage], re.MULTILINE)
    return json.loads(found[0]) if found else None


def whole(stage: str) -> str:
    """A stage with all that it begins with."""
    return whole(PARENT[stage]) + STAGES[stage] if stage in STAGES else ""


def test_every_repository_has_an_image() -> None:
    assert set(IMAGES) == set(STAGES) - {"tools", "build", "mlflow-build", "base", "runtime", "sbom"}


def test_what_is_copied_is_there_and_nothing_else_is_sent_to_the_engine() -> None:
    copied = {name for line in re.findall(r"^COPY (?!--from)(.+)$", TEXT, re.MULTILINE) for name in line.split()[:-1]}
    assert len(copied) > 5
    assert [name for name in copied if not (ROOT / name).exists()] == []
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert {line[1:] for line in lines if line.startswith("!")} == copied
    assert "*" in lines
    assert any(fnmatch.fnmatch("dbt_project/target", line) for line in lines)


def test_all_that_a_wheel_is_made_of_is_copied() -> None:
    """The files that pyproject.toml names: the build backend fails without them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    files = [project["project"]["readme"], *project["project"]["license-files"], *wheel["packages"]]
    needed = {name.strip("/").partition("/")[0] for name in (*files, *wheel["force-include"])}
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.+)$", STAGES["build"], re.MULTILINE) for name in line.split()
    }
    assert needed - copied == set()


@pytest.mark.parametrize("step", STEPS)
def test_it_is_installed_from_the_locks_alone(step: str) -> None:
    assert step in STAGES["tools"] + STAGES["build"] + STAGES["mlflow-build"]
    assert len(re.findall(r"pip install", TEXT)) == len(STEPS)


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_has_neither_installer_nor_compiler_nor_root(image: str) -> None:
    assert not re.search(r"gcc|build-essential|pip install|uv ", whole(image))
    assert re.findall(r"^USER (.+)$", whole(image), re.MULTILINE) == ["recsys"]
    assert f"useradd --uid {USER_ID} " in whole(image)


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_says_its_version_its_commit_and_what_it_holds(image: str) -> None:
    for label in ("version=$VERSION", "revision=$REVISION", "source=$SOURCE"):
        assert f"org.opencontainers.image.{label}" in whole(image)
    [environment] = re.findall(r"^COPY --from=\S+ (/opt/\S+) \1$", whole(image), re.MULTILINE)
    assert f"cyclonedx-py environment --output-reproducible --output-file {environment}/sbom.cdx.json" in TEXT
    assert f"{environment}/sbom.cdx.json" in STAGES["sbom"]


@pytest.mark.parametrize("image", ["gateway", "model-host"])
def test_a_container_starts_a_command_that_exists(image: str) -> None:
    name, *options = instruction(image, "ENTRYPOINT")[1:]
    command: Any = typer.main.get_command(app)
    known = {option for each in command.commands[name].params for option in each.opts}
    assert {option for option in options if option.startswith("--")} <= known


@pytest.mark.parametrize(("image", "process"), [("dagster", "code-server"), *((name, name) for name in IMAGES[1:])])
def test_an_image_is_checked_as_its_tasks_are(image: str, process: str) -> None:
    assert instruction(image, "HEALTHCHECK") == list(HEALTH_CHECKS[process].command)


@pytest.mark.parametrize("process", ["gateway", "mlflow", "model-host"])
def test_a_process_that_does_not_answer_is_not_well(process: str) -> None:
    python, flag, code = HEALTH_CHECKS[process].command
    assert python == "python"
    refused = subprocess.run([sys.executable, flag, re.sub(r":\d+/\w+", ":1/", code)], check=False, capture_output=True)
    assert refused.returncode == 1


def test_an_image_without_a_task_definition_starts_what_the_tasks_start() -> None:
    assert instruction("dagster", "CMD") == dagster_command("code-server", "")
    started = [*instruction("mlflow", "ENTRYPOINT"), *mlflow_options("s3://models")[4:]]
    assert started == ["mlflow", "server", *mlflow_options("s3://models")]


def test_folders_and_ports_are_those_of_the_tasks() -> None:
    assert f"COPY infra/dagster.yaml {DAGSTER_HOME}/dagster.yaml" in STAGES["dagster"]
    assert f"DAGSTER_HOME={DAGSTER_HOME} RECSYS_HOME={WORLD}" in STAGES["dagster"]
    assert f"RECSYS_HOME={WORLD}" in STAGES["gateway"]
    assert f"--owner recsys --group recsys {DAGSTER_HOME} {WORLD}" in STAGES["base"]
    exposed = {int(port) for ports in re.findall(r"^EXPOSE (.+)$", TEXT, re.MULTILINE) for port in ports.split()}
    assert exposed == {*PORTS.values(), 8080}


def test_sagemaker_starts_the_model_host_with_its_word() -> None:
    assert STAGES["model-host"].rstrip().endswith('ENTRYPOINT ["recsys", "model-host"]\nCMD ["serve"]')


def test_the_server_of_mlflow_has_the_version_of_its_client() -> None:
    found = {
        re.findall(r"^mlflow-skinny==(\S+)", (ROOT / name).read_text(), re.MULTILINE)[0]
        for name in ("requirements.lock", "infra/mlflow.lock")
    }
    assert len(found) == 1
    assert f"\nmlflow=={found.pop()} " in (ROOT / "infra/mlflow.lock").read_text()


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (BUILD, "error: images need a container engine that runs, docker, podman or buildah: none is installed.\n"),
        (
            CHECK,
            "error: the images cannot be checked here: buildah is not installed and debootstrap is not installed",
        ),
    ],
)
def test_what_a_machine_lacks_for_images_is_said_in_a_sentence(script: Path, sentence: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, script], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith(sentence)


def lacking() -> list[str]:
    """What this machine lacks to build and start images."""
    found = [name for name in ("buildah", "debootstrap") if not shutil.which(name)]
    return found if os.geteuid() == 0 else [*found, "root"]


@pytest.mark.slow
@pytest.mark.skipif(bool(lacking()), reason=f"to build and start images this machine lacks {' and '.join(lacking())}")
@pytest.mark.skipif("RECSYS_TEST_IMAGES" not in os.environ, reason="minutes and 8 GB: RECSYS_TEST_IMAGES=1 asks for it")
@pytest.mark.timeout(3_600)
def test_every_process_starts_from_its_image_and_answers() -> None:
    environment = environment_of_this_machine()
    done = subprocess.run(
        [sys.executable, CHECK], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
