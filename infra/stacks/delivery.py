"""How changes get here: a role that the repository's deployments assume by OpenID Connect, so that nobody keeps a key."""

from aws_cdk import CfnOutput, Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.deployment import Deployment
from infra.permissions import Role, delivery_statements
from infra.stacks.base import PlatformStack, accept_wildcards, statement_of

ISSUER = "token.actions.githubusercontent.com"


class Delivery(PlatformStack):
    """The provider, one an account, and the role; only the environment of this stage may assume it, which asks for an approval."""

    def __init__(self, scope: Construct, deployment: Deployment, key: kms.IKey) -> None:
        """`key`: encrypts the layers of images."""
        super().__init__(scope, "delivery", deployment)
        provider = iam.OidcProviderNative(self, "Provider", url=f"https://{ISSUER}", client_ids=["sts.amazonaws.com"])
        environment = f"repo:{deployment.repository}:environment:{deployment.stage}"
        role = iam.Role(
            self,
            "Deploy",
            role_name=self.names.of("deploy"),
            max_session_duration=Duration.hours(1),
            assumed_by=iam.WebIdentityPrincipal(
                provider.oidc_provider_arn,
                {"StringEquals": {f"{ISSUER}:aud": "sts.amazonaws.com", f"{ISSUER}:sub": environment}},
            ),
        )
        policy = iam.Policy(self, "Deliver", policy_name=self.names.of("deploy"), roles=[role])
        statements = delivery_statements(deployment)
        for each in statements:
            policy.add_statements(statement_of(each.document, key.key_arn))
        accept_wildcards(policy, Role("deploy", statements))
        CfnOutput(self, "DeployRole", value=role.role_arn, description="role-to-assume of the deployment's workflow")
