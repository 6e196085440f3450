"""The CDK application: `cdk synth -c stage=prod -c size=medium -c account=… -c domain=…` from this folder.

Belongs here: reading the choices, and the order of stacks. Does not: resources (stacks/).
"""

from dataclasses import fields
from typing import Any

from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks

from infra.deployment import NO_ACCOUNT, Deployment, Snowflake
from infra.stacks.catalogue import Catalogue
from infra.stacks.delivery import Delivery
from infra.stacks.edge import Edge
from infra.stacks.elastic import Elastic
from infra.stacks.hub import Hub
from infra.stacks.identity import Identity
from infra.stacks.images import Images
from infra.stacks.models import Models
from infra.stacks.network import Network
from infra.stacks.notebooks import Notebooks
from infra.stacks.orchestration import Orchestration
from infra.stacks.parameters import Parameters
from infra.stacks.registry import Registry
from infra.stacks.serving import Serving
from infra.stacks.warehouse import Warehouse
from infra.stacks.watching import Watching

FLAGS = {
    "@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy": True,  # not by access control lists
    "@aws-cdk/aws-s3:createDefaultLoggingPolicy": True,
    "@aws-cdk/aws-iam:minimizePolicies": True,
    "@aws-cdk/aws-ecs:disableExplicitDeploymentControllerForCircuitBreaker": True,
}

GIVEN_BY_COMMANDS = {"stage", "size", "image_tag"}
"""Choices of a release, not of a stage."""


def deployment_of(app: App) -> Deployment:
    """The deployment that the context names (`-c name=value`); what it does not name has its default.

    A stage has an account and a domain of its own: an object in the context that is named as the stage has what is its alone.
    Raises ValueError for a name in it that is none, or that commands give.
    """
    named = {each.name: "size" if each.name == "size_name" else each.name for each in fields(Deployment)}
    stage = app.node.try_get_context("stage") or Deployment.stage
    of_stage: dict[str, Any] = app.node.try_get_context(stage) or {}
    known = sorted(set(named.values()) - GIVEN_BY_COMMANDS)
    if unknown := sorted(of_stage.keys() - set(known)):
        raise ValueError(f"The context of {stage} names {unknown[0]}, which is none of {', '.join(known)}.")
    values = {field: of_stage.get(name, app.node.try_get_context(name)) for field, name in named.items()}
    given = {field: _typed(field, value) for field, value in values.items() if value is not None}
    made = Deployment(**given)
    if made.account != NO_ACCOUNT and "image_tag" not in given:
        raise ValueError("The images of a deployment have no tag: name the one that is pushed, `-c image_tag=…`.")
    return made


def _typed(name: str, value: Any) -> Any:
    if name == "snowflake":
        return Snowflake(**value)
    if name in ("company_networks", "web_origins"):
        return tuple(value.split(",")) if isinstance(value, str) else tuple(value)
    if name == "budget_refuses":
        return value in (True, "true", "on")
    return int(value) if name.endswith("_days") else value


def build(app: App, deployment: Deployment) -> None:
    """Add all stacks of a deployment to an application; synthesis fails if a rule of AwsSolutions finds something unexplained."""
    identity = Identity(app, deployment)
    hub = Hub(app, deployment, identity.key)
    network = Network(app, deployment, identity.key)
    Registry(app, deployment, network, identity.key)
    Orchestration(app, deployment, network, identity, hub, identity.key)
    serving = Serving(app, deployment, network, identity, hub, identity.key)
    Edge(app, deployment, serving, identity, identity.key)
    Images(app, deployment, identity.key)
    Delivery(app, deployment, identity.key)
    Catalogue(app, deployment, hub, network, identity.key)
    Warehouse(app, deployment, hub, identity.key)
    Elastic(app, deployment, network, identity.key)
    Notebooks(app, deployment, network, identity.key)
    Models(app, deployment, identity.key)
    Watching(app, deployment, hub, identity.key)
    Parameters(app, deployment, identity)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))


def new_app(folder: str | None = None) -> App:
    """An application with the flags of CDK that the stacks are written for. `folder`: where templates go, if not where CDK says."""
    return App(context=FLAGS, outdir=folder)


def main() -> None:
    """Synthesise what the context names."""
    app = new_app()
    build(app, deployment_of(app))
    app.synth()


if __name__ == "__main__":
    main()
