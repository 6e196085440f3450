"""A command run as a task in the network, by a server that speaks for ECS and for CloudWatch Logs."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.deployment import Deployment
from infra.names import Names
from infra.permissions import delivery_statements
from infra.platform_task import LAST_LOOKS, PlatformTasks, TaskError
from infra.rights import Request, allowing, rights
from tests.support.container_service import NETWORK, ContainerService, container_service

ROOT = Path(__file__).parents[2]
PRINTS = "print('one'); print('two'); print('three')"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[ContainerService]:
    made = ContainerService("recsys-prod-daemon")
    with container_service(made) as address:
        for name in ("ECS", "CLOUDWATCH_LOGS"):
            monkeypatch.setenv(f"AWS_ENDPOINT_URL_{name}", address)
        yield made
    refused = [each for request in made.requests for each in refused_to_a_deployment(*request)]
    assert refused == [], "the role of deployments may not do it (infra/permissions.py)"


def refused_to_a_deployment(action: str, asked: dict[str, Any]) -> list[str]:
    """What the role that workflows assume lacks for a request."""
    made = Deployment("prod")
    service = "logs" if action == "GetLogEvents" else "ecs"
    statements = [each.document for each in delivery_statements(made)]
    needed = rights(Request(service, action, asked.get, f"{made.region}:{made.account}"))
    return [str(each) for each in needed if allowing(statements, each) is None]


def run(*command: str) -> list[str | int]:
    clients = (boto3.client("ecs"), boto3.client("logs"))
    return list(PlatformTasks(Names(Deployment("prod")), *clients, pause=0).run(command))


def python(code: str) -> Sequence[str]:
    return sys.executable, "-c", code


def test_a_command_runs_as_a_run_does_and_every_line_is_told(service: ContainerService) -> None:
    assert run(*python(PRINTS)) == ["one", "two", "three", 0]
    asked = dict(service.requests)["RunTask"]
    assert (asked["cluster"], asked["taskDefinition"]) == ("recsys-prod-platform", "recsys-prod-run")
    assert asked["networkConfiguration"] == NETWORK


def test_lines_that_are_shown_after_the_end_are_told_too(service: ContainerService) -> None:
    service.late = LAST_LOOKS - 1
    assert run(*python(PRINTS)) == ["one", "two", "three", 0]


@pytest.mark.slow
def test_the_module_ends_as_the_command_did(service: ContainerService) -> None:
    words = [
        sys.executable,
        "-m",
        "infra.platform_task",
        "--stage",
        "prod",
        "--",
        *python("import sys; print('so'); sys.exit(3)"),
    ]
    done = subprocess.run(words, check=False, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (3, "so\n")


def test_a_task_that_is_not_started_or_dies_is_told_in_a_sentence(service: ContainerService) -> None:
    service.fails = "RESOURCE:MEMORY"
    with pytest.raises(TaskError, match=r"ECS started no task of recsys-prod-run: RESOURCE:MEMORY\.$"):
        run("true")
    service.fails, service.dies = "", "CannotPullContainerError"
    with pytest.raises(TaskError, match=r"did not run to its end: CannotPullContainerError\.$"):
        run("true")
    service.services = ()
    with pytest.raises(TaskError, match="deploy the stack orchestration first"):
        run("true")
