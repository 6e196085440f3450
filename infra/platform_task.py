"""Run a command of the platform where it runs: a task of the definition of runs, whose output and exit code are told here.

    python -m infra.platform_task --stage prod -- recsys status

Warehouse, registry and database are reached from inside the network alone, so a workflow outside of it asks ECS.

Belongs here: starting, following and judging one task. Does not: what is run, and in which order (release.py).
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import boto3

from infra.deployment import STAGES, Deployment
from infra.names import Names

PROCESS = "run"
"""The task definition, its container and its log group: a run may do what such commands do, and no more."""
NETWORK_OF = "daemon"
"""The service whose subnets and security groups the task is given, as the launcher of runs does."""
LAST_LOOKS = 5
"""Looks without a new line after the end, since CloudWatch Logs may show lines later than ECS the end."""


class TaskError(Exception):
    """A task that did not start, or did not end by itself; one sentence."""


@dataclass(frozen=True)
class PlatformTasks:
    """Tasks of one stage. `ecs`, `logs`: boto3's clients. `pause`: seconds between two looks, and of the last ones together."""

    names: Names
    ecs: Any
    logs: Any
    pause: float = 5

    def run(self, command: Sequence[str]) -> Iterator[str | int]:
        """Start a task and yield each line that it prints, then its exit code. Raises `TaskError`."""
        arn = self._start(command)
        token: str | None = None
        looks_left = LAST_LOOKS
        while looks_left:
            task, before = self._describe(arn), token
            lines, token = self._new_lines(arn, token)
            yield from lines
            if task["lastStatus"] != "STOPPED":
                time.sleep(self.pause)
            elif lines or token != before:
                looks_left = LAST_LOOKS
            else:
                looks_left -= 1
                time.sleep(self.pause / LAST_LOOKS)
        yield _exit_code(task)

    def _start(self, command: Sequence[str]) -> str:
        answer = self.ecs.run_task(
            cluster=self._cluster,
            taskDefinition=self.names.of(PROCESS),
            launchType="FARGATE",
            networkConfiguration=self._network(),
            overrides={"containerOverrides": [{"name": PROCESS, "command": list(command)}]},
            propagateTags="TASK_DEFINITION",
            startedBy="delivery",
        )
        if not answer["tasks"]:
            reasons = ", ".join(str(each.get("reason")) for each in answer["failures"])
            raise TaskError(f"ECS started no task of {self.names.of(PROCESS)}: {reasons}.")
        return str(answer["tasks"][0]["taskArn"])

    @property
    def _cluster(self) -> str:
        return self.names.of("platform")

    def _network(self) -> dict[str, Any]:
        service = self.names.of(NETWORK_OF)
        found = self.ecs.describe_services(cluster=self._cluster, services=[service])["services"]
        if not found:
            raise TaskError(
                f"The cluster {self._cluster} has no service {service}: deploy the stack orchestration first."
            )
        return dict(found[0]["networkConfiguration"])

    def _describe(self, arn: str) -> dict[str, Any]:
        return dict(self.ecs.describe_tasks(cluster=self._cluster, tasks=[arn])["tasks"][0])

    def _new_lines(self, arn: str, token: str | None) -> tuple[list[str], str | None]:
        """What was printed since the last look; nothing before the container has its log stream."""
        where = {
            "logGroupName": self.names.log_group(PROCESS),
            "logStreamName": f"{PROCESS}/{PROCESS}/{arn.rpartition('/')[2]}",
            "startFromHead": True,
        }
        try:
            page = self.logs.get_log_events(**where, **({"nextToken": token} if token else {}))
        except self.logs.exceptions.ResourceNotFoundException:
            return [], token
        return [str(each["message"]) for each in page["events"]], page["nextForwardToken"]


def _exit_code(task: dict[str, Any]) -> int:
    code = next((each.get("exitCode") for each in task["containers"] if each["name"] == PROCESS), None)
    if code is None:
        raise TaskError(f"The task {task['taskArn']} did not run to its end: {task.get('stoppedReason', 'no reason')}.")
    return int(code)


def main() -> None:
    """Run the command after `--` in the stage; exit as it did."""
    parser = argparse.ArgumentParser(description="Run a command of the platform in a task of its own.")
    parser.add_argument("--stage", choices=STAGES, required=True, help="where to run it")
    parser.add_argument("command", nargs="+", help="command and arguments, after --")
    given = parser.parse_args()
    tasks = PlatformTasks(Names(Deployment(given.stage)), boto3.client("ecs"), boto3.client("logs"))
    try:
        for told in tasks.run(given.command):
            if isinstance(told, int):
                sys.exit(told)
            print(told, flush=True)
    except TaskError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
