"""The workflow `models`, step by step as GitHub would run it: its scripts, with servers that speak for ECS, S3 and SageMaker."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from recsys_platform.hub.local import FolderHub
from recsys_platform.hub.s3 import S3Hub
from recsys_platform.recommender.data.training_data import write_snapshot
from recsys_platform.recommender.lists.list_rules import parse_list_rules
from recsys_platform.recommender.registry.versions import Registry
from tests.support.container_service import ContainerService, container_service
from tests.support.days import DAY
from tests.support.serving_world import make_world

ROOT = Path(__file__).parents[2]
JOBS = yaml.safe_load((ROOT / ".github" / "workflows" / "models.yml").read_text())["jobs"]
ENDPOINT = "recsys-prod-models"
BEFORE = "s3://models/sagemaker/before/model.tar.gz"
CDK = f"""#!{sys.executable}
# Stands for CloudFormation: notes what is deployed, and makes the endpoint of the first deployment.
import sys, boto3
open("deployed.txt", "a").write(" ".join(sys.argv[1:]) + "\\n")
if any(word.startswith("ChallengerArchive=s3") for word in sys.argv):
    sagemaker = boto3.client("sagemaker")
    variants = [dict(VariantName=name, ModelName=name, InitialInstanceCount=1, InstanceType="ml.m5.large", InitialVariantWeight=weight)
                for name, weight in (("champion", 1), ("challenger", 0))]
    for each in variants:
        sagemaker.create_model(ModelName=each["ModelName"], ExecutionRoleArn="arn:aws:iam::123456789012:role/models")
    sagemaker.create_endpoint_config(EndpointConfigName="models", ProductionVariants=variants)
    sagemaker.create_endpoint(EndpointName="{ENDPOINT}", EndpointConfigName="models")
"""


@pytest.fixture
def runner(tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout with its environment, as it is after the first steps; its folder."""
    folder, programs = tmp_path / "checkout", tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    (folder / ".venv").symlink_to(Path(sys.executable).parents[1])
    (folder / "infra").mkdir()
    (programs / "npx").write_text(CDK)
    (programs / "aws").write_text(
        f"#!/bin/sh\necho {BEFORE}\n"
    )  # CloudFormation knows the archive of the champion so far
    for name in ("npx", "aws"):
        (programs / name).chmod(stat.S_IRWXU)
    path = f"{programs}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    given = {
        "STAGE": "prod",
        "SIZE": "large",
        "TAG": "1a2b",
        "ACTOR": "ann",
        "ENDPOINT": ENDPOINT,
        "MODELS": f"s3://{bucket}/sagemaker",
    }
    for name, value in {**given, "PATH": path, "PYTHONPATH": str(ROOT)}.items():
        monkeypatch.setenv(name, value)
    with container_service(ContainerService("recsys-prod-daemon")) as address:
        for name in ("ECS", "CLOUDWATCH_LOGS"):
            monkeypatch.setenv(f"AWS_ENDPOINT_URL_{name}", address)
        yield folder


def run_job(name: str, folder: Path, **given: str) -> None:
    """Run the scripts of a job in order; those for failures and for the environment are left out."""
    for step in JOBS[name]["steps"]:
        if "run" in step and "failure()" not in step.get("if", "") and not step["run"].startswith("make "):
            run_step(step, folder, **given)


def run_step(step: dict[str, Any], folder: Path, **given: str) -> None:
    environment = {**os.environ, **given, "GITHUB_OUTPUT": str(folder / "output.txt")}
    where = folder / step.get("working-directory", ".")
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=where, env=environment)
    assert done.returncode == 0, f"{step['name']}: {done.stdout}{done.stderr}"


def shares() -> dict[str, float]:
    found = boto3.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)["ProductionVariants"]
    return {
        each["VariantName"]: round(each["DesiredWeight"] / sum(one["DesiredWeight"] for one in found), 2)
        for each in found
    }


@pytest.mark.slow
def test_a_version_becomes_challenger_gets_a_share_and_then_production(
    runner: Path, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine processes of the commands themselves, which is what the workflow is made of."""
    world = make_world(tmp_path / "world")
    world.publish(parse_list_rules({}))
    version = world.versions["ease"]
    home = world.home.parent
    write_snapshot(FolderHub(home / "hub"), DAY, world.marts)
    monkeypatch.setenv("RECSYS_HOME", str(home))
    run_job("challenger", runner, VERSION=version, ARCHIVE=f"s3://{bucket}/sagemaker/of-the-step-before/model.tar.gz")
    archive = (runner / "output.txt").read_text().strip().removeprefix("archive=")
    [name] = S3Hub(bucket, "sagemaker").folders("")
    assert archive == f"s3://{bucket}/sagemaker/{name}/model.tar.gz"
    assert shares() == {"champion": 0.95, "challenger": 0.05}
    registry = Registry(world.registry.root)
    assert registry.version_of("challenger") == version
    assert registry.version_of("production") != version

    run_job("promote", runner, VERSION=version, ARCHIVE=archive)
    assert shares() == {"champion": 0.95, "challenger": 0.05}  # CloudFormation moves the rest, a tenth first
    assert Registry(world.registry.root).version_of("production") == version
    first, last = (runner / "infra" / "deployed.txt").read_text().splitlines()
    assert "ChallengerArchive=s3://" in first
    assert last.endswith(f"--parameters ChampionArchive={archive} --parameters ChallengerArchive=")

    copy = Registry(shutil.copytree(world.registry.root, tmp_path / "restored"))  # the drill of docs/upgrades.md
    assert copy.version_of("production") == version
    assert copy.history() == Registry(world.registry.root).history()

    no_champion, no_promotion = [step for step in JOBS["promote"]["steps"] if "failure()" in step.get("if", "")]
    run_step(no_promotion, runner, ARCHIVE=(runner / "output.txt").read_text().rpartition("archive=")[2].strip())
    deployed = (runner / "infra" / "deployed.txt").read_text().splitlines()
    assert f"--parameters ChampionArchive={BEFORE} " in deployed[-1]
    run_step(no_champion, runner)
    assert shares() == {"champion": 1.0, "challenger": 0.0}
