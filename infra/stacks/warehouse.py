"""Snowflake's side in AWS: the role by which its storage integration reads the hub, and the topic that a Snowpipe listens to.

Trust takes two steps. Deployed the first time, nobody may assume the role; `describe integration` in Snowflake then shows who
Snowflake is, and the deployment with `snowflake` in its context lets that user in, with the external id alone.
"""

from aws_cdk import CfnOutput
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.deployment import Deployment
from infra.permissions import Role, Statement, snowflake_statements
from infra.stacks.base import PlatformStack, accept_wildcards, statement_of
from infra.stacks.hub import Hub


class Warehouse(PlatformStack):
    """The integration's role."""

    def __init__(self, scope: Construct, deployment: Deployment, hub: Hub, key: kms.IKey) -> None:
        """`hub`: whose topic a pipe may listen to. `key`: decrypts the hub."""
        super().__init__(scope, "warehouse", deployment)
        role = iam.Role(
            self,
            "Integration",
            role_name=self.names.of("snowflake"),
            description="Assumed by Snowflake's storage integration, RECSYS_hub",
            assumed_by=self._principal(),
        )
        policy = iam.Policy(self, "ReadHub", policy_name=self.names.of("snowflake"), roles=[role])
        statements: tuple[Statement, ...] = snowflake_statements(deployment)
        for each in statements:
            policy.add_statements(statement_of(each.document, key.key_arn))
        accept_wildcards(policy, Role("snowflake", statements))
        CfnOutput(self, "Role", value=role.role_arn, description="hub_role_arn of 03_hub.sql")
        CfnOutput(self, "Topic", value=hub.topic.topic_arn, description="aws_sns_topic of the pipe of 05_pipe.sql")

    def _principal(self) -> iam.IPrincipal:
        snowflake = self.deployment.snowflake
        if not snowflake.is_trusted:
            # A trust policy names somebody: this account, with an id that nobody has been told.
            return iam.AccountRootPrincipal().with_conditions({"StringEquals": {"sts:ExternalId": "not-trusted-yet"}})
        return iam.ArnPrincipal(str(snowflake.iam_user_arn)).with_conditions(
            {"StringEquals": {"sts:ExternalId": snowflake.external_id}}
        )
