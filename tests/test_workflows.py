"""The workflows of .github: valid, with few rights, and every command in them names something that exists."""

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from infra.deployment import STAGES, Deployment
from infra.names import Names
from infra.permissions import delivery_statements, roles
from infra.processes import IMAGES
from infra.release import CDK, commands, steps, steps_back
from recsys_platform.cli.app import app

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = {path.name: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yml"))}
ACTIONS = {
    "actions/checkout", "actions/setup-python", "actions/setup-node", "actions/upload-artifact", "anchore/scan-action",
    "aws-actions/amazon-ecr-login", "aws-actions/configure-aws-credentials",
}  # fmt: skip
"""Whose code may run with our rights: GitHub's own, AWS's, and one scanner, which is given none."""
JOBS = [(name, job) for name, each in WORKFLOWS.items() for job in each["jobs"]]
STEPS = [
    pytest.param(name, step, id=f"{name}-{job}-{number}")
    for name, each in WORKFLOWS.items()
    for job, body in each["jobs"].items()
    for number, step in enumerate(body["steps"])
]
PROGRAMS = {
    "make",
    "recsys",
    "python",
    "npx",
    "aws",
    "echo",
    "tee",
    "tail",
    "cat",
    "grep",
    "sed",
    "sort",
    "cut",
    "bash",
    "apt-get",
}


def job_of(name: str, job: str) -> dict[str, Any]:
    return dict(WORKFLOWS[name]["jobs"][job])


@pytest.mark.parametrize(
    ("schema", "files"),
    [("github-workflows", FOLDER.glob("*.yml")), ("dependabot", [ROOT / ".github" / "dependabot.yml"])],
)
def test_files_are_valid_by_githubs_schema(schema: str, files: Iterator[Path]) -> None:
    command = [Path(sys.executable).with_name("check-jsonschema"), "--builtin-schema", f"vendor.{schema}", *files]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_ci_run_and_the_checks_are_the_same_commands() -> None:
    text = (ROOT / ".ci" / "run").read_text()
    calls = re.findall(r"^ *make (.+)$", text, re.MULTILINE)
    of_script = {
        word for each in calls for word in each.split() if re.fullmatch("[a-z-]*[a-z]", word) and word[0] != "-"
    }
    jobs = WORKFLOWS["checks.yml"]["jobs"].values()
    of_workflow = {word for job in jobs for step in job["steps"] for word in step.get("run", "").split()}
    assert of_workflow - {"make", "infra/.venv/.ready"} == of_script == {"lint", "infra", "test-all"}


def test_tests_run_on_every_python_that_the_project_declares() -> None:
    declared = re.findall(r'"Programming Language :: Python :: (\d\.\d+)"', (ROOT / "pyproject.toml").read_text())
    assert job_of("checks.yml", "test")["strategy"]["matrix"]["python"] == declared


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_begins_with_the_right_to_read_and_replaces_or_waits_for_an_earlier_one(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}
    assert set(WORKFLOWS[name]["concurrency"]) == {"group", "cancel-in-progress"}


def test_no_workflow_waits_for_the_approval_of_another_one() -> None:
    groups = [each["concurrency"]["group"] for each in WORKFLOWS.values()]
    assert len(set(groups)) == len(groups)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_step_fails_with_any_part_of_a_pipe(name: str) -> None:
    """GitHub runs a shell that is not named without `pipefail`, one that is named with it."""
    steps_of_all = [step for job in WORKFLOWS[name]["jobs"].values() for step in job["steps"]]
    assert WORKFLOWS[name]["defaults"] == {"run": {"shell": "bash"}}
    assert not [step for step in steps_of_all if "shell" in step]


def test_the_address_of_an_archive_is_found_among_what_its_task_prints(tmp_path: Path) -> None:
    [script] = [step["run"] for step in job_of("models.yml", "challenger")["steps"] if step.get("id") == "pack"]
    find = script.strip().splitlines()[-1]
    environment = {"PATH": os.environ["PATH"], "GITHUB_OUTPUT": str(tmp_path / "output")}
    for printed, code in [("Packing\ns3://bucket/a/model.tar.gz\na warning\n", 0), ("a warning\n", 1)]:
        (tmp_path / "packed.txt").write_text(printed)
        done = subprocess.run(["bash", "-eo", "pipefail", "-c", find], check=False, cwd=tmp_path, env=environment)
        assert done.returncode == code
    assert (tmp_path / "output").read_text() == "archive=s3://bucket/a/model.tar.gz\n"


@pytest.mark.parametrize(("name", "job"), JOBS)
def test_a_job_ends_in_time_and_becomes_a_role_only_with_an_approval_or_to_read(name: str, job: str) -> None:
    found = job_of(name, job)
    assert found["timeout-minutes"] <= 150
    assert set(found.get("permissions", {})) <= {"contents", "id-token"}
    assumed = [step["with"]["role-to-assume"] for step in found["steps"] if "role-to-assume" in step.get("with", {})]
    assert bool(assumed) == (found.get("permissions", {}).get("id-token") == "write")
    for role in assumed:
        ending = role.rpartition("-")[2]
        assert (ending, "environment" in found) in {("deploy", True), ("diff", False)}


@pytest.mark.parametrize(("name", "step"), STEPS)
def test_an_action_is_one_of_a_few_at_a_pinned_version_and_no_step_reads_a_secret(
    name: str, step: dict[str, Any]
) -> None:
    assert "secrets." not in json.dumps(step)
    if "uses" in step:
        action, _, version = step["uses"].partition("@")
        assert action in ACTIONS
        assert re.fullmatch(r"v\d+(\.\d+\.\d+)?|[0-9a-f]{40}", version)
        assert action != "actions/checkout" or step["with"]["persist-credentials"] is False


@pytest.mark.parametrize(("name", "step"), STEPS)
def test_a_script_is_shell_and_takes_what_others_typed_only_from_variables(name: str, step: dict[str, Any]) -> None:
    script = step.get("run", "")
    assert "${{" not in script, "an expression would be pasted into the script before a shell reads it"
    assert subprocess.run(["bash", "-n", "-c", script], check=False, capture_output=True).returncode == 0


def words_of(script: str) -> Iterator[list[str]]:
    """Each command of a script as words."""
    for line in script.replace("\\\n", " ").splitlines():
        for part in re.split(r"\||;|&&|[{}] ", line):
            words = shlex.split(re.sub(r"\d?>+&?\s*\S+", "", part))
            if words:
                yield words


@pytest.mark.parametrize(("name", "step"), STEPS)
def test_a_command_of_a_step_exists_with_its_options(name: str, step: dict[str, Any]) -> None:
    for words in words_of(step.get("run", "")):
        program, *rest = words[words[0] == "sudo" :]
        assert Path(program).name in PROGRAMS, words
        assert_exists(Path(program).name, rest)


def assert_exists(program: str, words: list[str]) -> None:
    if program == "make":
        targets = re.findall(r"^([a-z/.$()A-Z_-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert {word for word in words if "=" not in word} <= {*targets, "infra/.venv/.ready", ".venv/.ready-dev"}
    if program == "recsys":
        assert_command_exists(words)
    if program == "python":
        assert words[0] == "-m"
        assert importlib.util.find_spec(words[1]), words
        if "--" in words:
            inside = words[words.index("--") + 1 :]
            assert_exists(inside[0], inside[1:])


def assert_command_exists(words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    while words and hasattr(command, "commands"):
        command, words = command.commands[words[0]], words[1:]
    assert {word for word in words if word.startswith("--")} <= {
        option for each in command.params for option in each.opts
    }


@pytest.mark.parametrize("stage", STAGES)
def test_a_release_deploys_every_stack_once_in_an_order_that_bears_old_processes_beside_new_ones(stage: Any) -> None:
    plan = steps(Deployment(stage, "small"))
    order = [stack for step in plan for stack in step.stacks]
    files = {path.stem for path in (ROOT / "infra" / "stacks").glob("*.py")} - {
        "__init__",
        "base",
        "containers",
        "databases",
    }
    assert sorted(order) == sorted(files)
    for first, then in [
        ("identity", "registry"), ("images", "orchestration"), ("registry", "orchestration"), ("orchestration", "serving"),
        ("serving", "edge"), ("serving", "parameters"), ("models", "parameters"),
    ]:  # fmt: skip
        assert order.index(first) < order.index(then)
    back = [stack for step in steps_back(Deployment(stage, "small")) for stack in step.stacks]
    assert back[0] == "parameters"
    assert not {"hub", "identity", "network", "registry"} & set(back)


def test_commands_of_a_release_exist_and_name_the_tag() -> None:
    deployment = Deployment("prod", "small", image_tag="1a2b")
    for step in steps(deployment):
        for _, command in commands(step, deployment):
            assert_exists(command[0], list(command[1:]))
            assert command[0] != "npx" or "image_tag=1a2b" in command


def test_every_call_of_the_cdk_names_the_same_exact_version() -> None:
    files = [*FOLDER.glob("*.yml"), *(ROOT / "docs").glob("*.md")]
    named = {found for path in files for found in re.findall(r"aws-cdk@[\w.]+", path.read_text())}
    assert named == {CDK}
    assert re.fullmatch(r"aws-cdk@\d+\.\d+\.\d+", CDK)


STAND_IN = """#!/usr/bin/env bash
# Notes its words. The repository of gateways has the image already; the scan of the model host finds what HOST_FINDS says.
echo "$(basename "$0") $*" >> "$NOTES"
case "$*" in
  *get-caller-identity*) echo 123456789012 ;;
  *batch-get-image*-gateway*) echo 1 ;;
  *batch-get-image*) echo 0 ;;
  *describe-image-scan-findings*-model-host*) echo "$HOST_FINDS" ;;
  *describe-image-scan-findings*) echo None ;;
esac
"""


@pytest.mark.parametrize(("finds", "code"), [("None", 0), ("2", 1)])
def test_images_of_a_tag_are_built_pushed_unless_they_are_there_and_scanned(
    finds: str, code: int, tmp_path: Path
) -> None:
    for program in ("aws", "docker", "make"):
        (tmp_path / program).write_text(STAND_IN)
        (tmp_path / program).chmod(0o755)
    notes = tmp_path / "notes"
    given = {"NOTES": str(notes), "HOST_FINDS": finds, "AWS_REGION": "eu-west-1"}
    [command] = [
        each for step in steps(Deployment("prod", image_tag="1a2b")) for each in step.then if "images" in each[1]
    ]
    environment = {**os.environ, **given, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == code, done.stderr
    assert ("recsys-prod-model-host:1a2b has critical findings (2)" in done.stderr) == bool(code)
    told = notes.read_text().splitlines()
    registry = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    pushed = [line.removeprefix(f"docker push {registry}/recsys-prod-") for line in told if "docker push" in line]
    assert pushed == [f"{name}:1a2b" for name in IMAGES if name != "gateway"]
    assert told.index("make image TAG=1a2b") < told.index(f"docker login --username AWS --password-stdin {registry}")


def test_a_plan_stops_at_the_first_command_that_fails_and_names_its_step() -> None:
    code = "from infra import release; from infra.deployment import Deployment\n"
    code += "plan = [release.Step('one', 'first', then=(('true',),)), release.Step('two', 'second', then=(('false',), ('true',)))]\n"
    code += "release.run(plan, Deployment())"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (1, "== one: first\n== two: second\n")
    assert done.stderr == "error: the step two failed at `false`; the steps before it are done.\n"


def test_choices_of_the_workflows_are_those_of_a_deployment() -> None:
    for name in ("deploy.yml", "models.yml"):
        inputs = WORKFLOWS[name][True]["workflow_dispatch"]["inputs"]  # YAML 1.1 reads the key `on` as true
        assert inputs["stage"]["options"] == list(STAGES)
        of_stage = "${{ inputs.stage == 'prod' && vars.SIZE_PROD || vars.SIZE_DEV }}"
        assert of_stage in str(WORKFLOWS[name])  # typed by hand, it would shrink a stage one day


def test_the_role_of_a_deployment_passes_only_the_roles_of_a_run_and_a_run_may_upload_archives() -> None:
    names = Names(Deployment())
    passed = [each for each in delivery_statements(Deployment()) if "iam:PassRole" in each.actions]
    assert [set(each.resources) for each in passed] == [{names.role_arn("run"), names.role_arn("execution")}]
    archives = f"{names.bucket_arn('models')}/sagemaker/*"
    assert any(
        archives in each.resources and "s3:PutObject" in each.actions for each in roles(Deployment())["run"].statements
    )
