"""The order in which a release reaches a stage, and the way back: plain data, printed or run.

    python -m infra.release --stage prod --size medium --tag 0.3.0            # prints the commands
    python -m infra.release --stage prod --size medium --tag 0.3.0 --run      # runs them, stops at the first that fails
    python -m infra.release --stage prod --size medium --tag 0.2.0 --back     # the way back to an earlier tag

docs/upgrades.md says why. Belongs here: which command comes when. Does not: resources (stacks/), what a process does when it starts.
"""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infra.deployment import SIZE_NAMES, STAGES, Deployment
from infra.names import Names

FOLDER = Path(__file__).parent
Place = Literal["infra", "top"]
CDK = "aws-cdk@2.1148.0"
"""The program that deploys, at one version: it has the rights of a deployment. The workflows name the same."""
WAITS = 5
"""Of ten minutes each: the old gateways stay for 25 after the new ones answer, and the service is not stable before."""


@dataclass(frozen=True)
class Step:
    """One step. `stacks`: what CloudFormation deploys in it, nothing else. `then`: commands after that. `why`: why it comes here."""

    name: str
    why: str
    stacks: tuple[str, ...] = ()
    then: tuple[tuple[str, ...], ...] = ()


def steps(deployment: Deployment) -> tuple[Step, ...]:
    """The steps of a release, in order."""
    in_network = ("python", "-m", "infra.platform_task", "--stage", deployment.stage, "--")
    restarted = ("code-server", "gateway")
    restart = tuple(_restart(Names(deployment), each) for each in restarted)
    until_stable = tuple(_wait_until_stable(Names(deployment), each) for each in restarted)
    return (
        Step(
            "foundation",
            "roles, keys, buckets, network and alarms are there before what uses them; a new right does no harm to an old process",
            ("identity", "hub", "network", "images", "delivery", "watching"),
            (("bash", "infra/push_images.sh", deployment.stage, deployment.image_tag),),
        ),
        Step("registry", "an MLflow server reads what older clients send, not the other way round", ("registry",)),
        Step(
            "orchestration",
            "Dagster's tables are migrated before the code server starts, and that is up before daemon and web server ask it",
            ("orchestration",),
            ((*in_network, "recsys", "status"),),
        ),
        Step(
            "serving",
            "gateways come after the runs that write their snapshots; new ones stand beside the old ones until they are proven",
            ("serving",),
        ),
        Step("models", "model hosts with the new image, beside the old ones; archives stay as they are", ("models",)),
        Step("edge", "the API's description is new once every gateway answers by it", ("edge",)),
        Step(
            "parameters",
            "an older image refuses a setting that it does not know, so settings change when no older process is left to start",
            ("parameters",),
            (*restart, *until_stable),
        ),
        Step(
            "independent",
            "no process of the platform waits for these",
            ("warehouse", "catalogue", "elastic", "notebooks"),
        ),
    )


def steps_back(deployment: Deployment) -> tuple[Step, ...]:
    """The way back to an earlier tag: settings first, then processes; databases and buckets stay as they are."""
    forward = {step.name: step for step in steps(deployment)}
    settings = Step(
        "parameters", "the earlier image refuses a setting that it does not know", forward["parameters"].stacks
    )
    return (settings, *(forward[name] for name in ("serving", "models", "orchestration", "edge")))


def commands(step: Step, deployment: Deployment) -> list[tuple[Place, tuple[str, ...]]]:
    """The commands of a step, each with the folder that it runs in."""
    return [
        *([("infra", _deploy(step.stacks, deployment))] if step.stacks else []),
        *(("top", each) for each in step.then),
    ]  # type: ignore[list-item]


def _deploy(stacks: Sequence[str], deployment: Deployment) -> tuple[str, ...]:
    names = [Names(deployment).of(each) for each in stacks]
    return (
        "npx",
        "--yes",
        CDK,
        "deploy",
        *names,
        "--exclusively",
        "--require-approval",
        "never",
        *context(deployment),
    )


def context(deployment: Deployment) -> tuple[str, ...]:
    """What differs from release to release; all else stands in the context of infra/cdk.json."""
    given = {"stage": deployment.stage, "size": deployment.size_name, "image_tag": deployment.image_tag}
    return tuple(word for name, value in given.items() for word in ("-c", f"{name}={value}"))


def _restart(names: Names, service: str) -> tuple[str, ...]:
    where = ("--cluster", names.of("platform"), "--service", names.of(service))
    return (
        "aws",
        "ecs",
        "update-service",
        *where,
        "--force-new-deployment",
        "--no-cli-pager",
        "--query",
        "service.status",
    )


def _wait_until_stable(names: Names, service: str) -> tuple[str, ...]:
    """A waiter gives up after ten minutes, before gateways have replaced each other, so that it begins anew."""
    wait = shlex.join(
        ("aws", "ecs", "wait", "services-stable", "--cluster", names.of("platform"), "--services", names.of(service))
    )
    return "bash", "-c", " || ".join([wait] * WAITS)


def run(plan: Sequence[Step], deployment: Deployment) -> None:
    """Run a plan; ends the process at the first command that fails, and names its step."""
    for step in plan:
        print(f"== {step.name}: {step.why}", flush=True)
        for place, command in commands(step, deployment):
            done = subprocess.run(
                _with_own_python(command), check=False, cwd=FOLDER if place == "infra" else FOLDER.parent
            )
            if done.returncode:
                sys.exit(
                    f"error: the step {step.name} failed at `{shlex.join(command)}`; the steps before it are done."
                )


def _with_own_python(command: Sequence[str]) -> list[str]:
    return [sys.executable if word == "python" else word for word in command]


def main() -> None:
    """Print the plan, or run it."""
    parser = argparse.ArgumentParser(description="The order of a release, and the way back.")
    parser.add_argument("--stage", choices=STAGES, required=True)
    parser.add_argument("--size", choices=SIZE_NAMES, required=True)
    parser.add_argument("--tag", required=True, help="tag of the images")
    parser.add_argument("--back", action="store_true", help="the way back to an earlier tag")
    parser.add_argument("--run", action="store_true", help="run the commands instead of printing them")
    given = parser.parse_args()
    deployment = Deployment(given.stage, given.size, image_tag=given.tag)
    plan = steps_back(deployment) if given.back else steps(deployment)
    if given.run:
        run(plan, deployment)
        return
    for step in plan:
        print(f"# {step.name}: {step.why}")
        for place, command in commands(step, deployment):
            print(f"cd infra && {shlex.join(command)} && cd .." if place == "infra" else shlex.join(command))


if __name__ == "__main__":
    main()
