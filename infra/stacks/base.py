"""What all stacks share: their deployment, names, key and roles, and how a finding is accepted with its reason."""

from collections.abc import Mapping
from typing import Any

from aws_cdk import Acknowledgment, Environment, RemovalPolicy, Stack, Tags, Validations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct, IConstruct

from infra.deployment import Deployment
from infra.names import Names
from infra.permissions import Role


class PlatformStack(Stack):
    """A stack of the platform, named `recsys-{stage}-{component}`, whose resources carry the tags that costs are found by."""

    def __init__(self, scope: Construct, component: str, deployment: Deployment) -> None:
        """`component`: what the architecture calls it."""
        names = Names(deployment)
        super().__init__(
            scope,
            names.of(component),
            env=Environment(account=deployment.account, region=deployment.region),
            termination_protection=deployment.is_production,
            description=f"recsys_platform: {component}",
        )
        self.deployment, self.names = deployment, names
        for name, value in {"stage": deployment.stage, "size": deployment.size_name, "component": component}.items():
            Tags.of(self).add(f"recsys:{name}", value)

    @property
    def removal(self) -> RemovalPolicy:
        """What becomes of data when a stack is deleted: it stays in production."""
        return RemovalPolicy.RETAIN if self.deployment.is_production else RemovalPolicy.DESTROY

    def role(self, process: str) -> iam.IRole:
        """The role of a process, as it stands in permissions.py: no construct may add to it."""
        return iam.Role.from_role_arn(self, f"{process}-role", self.names.role_arn(process), mutable=False)

    def imported(self, key: kms.IKey) -> kms.IKey:
        """The key by its ARN, so that no construct changes its policy from another stack."""
        return kms.Key.from_key_arn(self, "Key", key.key_arn)

    def log_group(self, process: str, key: kms.IKey, name: str | None = None) -> logs.LogGroup:
        """The encrypted log group of a process; with a name of its own if a service of AWS would make it, for ever and unencrypted."""
        return logs.LogGroup(
            self,
            f"{process}-logs",
            log_group_name=name or self.names.log_group(process),
            encryption_key=key,
            retention=logs.RetentionDays.THREE_MONTHS if self.deployment.is_production else logs.RetentionDays.ONE_WEEK,
            removal_policy=RemovalPolicy.DESTROY,
        )


def accept(construct: IConstruct, reasons: Mapping[str, str]) -> None:
    """Accept findings of a construct and what is in it, each with its reason."""
    for finding, reason in reasons.items():
        if not reason:
            raise ValueError(f"{finding} of {construct.node.path} is accepted without a reason: give one.")
        Validations.of(construct).acknowledge(Acknowledgment(id=finding, reason=reason))


def accept_wildcards(construct: IConstruct, role: Role) -> None:
    """Accept the resources with `*` of a role's policy, each with the reason that its statement gives."""
    for statement in role.statements:
        for resource in statement.resources:
            if "*" in resource:
                accept(construct, {f"AwsSolutions-IAM5[Resource::{resource}]": statement.why})


def statement_of(document: Mapping[str, Any], key_arn: str) -> iam.PolicyStatement:
    """A statement of permissions.py with the ARN of the key in it."""
    found = dict(document)
    found["Resource"] = [key_arn if each == "${DataKey}" else each for each in found["Resource"]]
    return iam.PolicyStatement.from_json(found)
