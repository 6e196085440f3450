"""How changes get here: roles that the repository's workflows assume by OpenID Connect, so that nobody keeps a key."""

from aws_cdk import CfnOutput, Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.deployment import Deployment
from infra.permissions import Role, Statement, delivery_statements, diff_statements
from infra.stacks.base import PlatformStack, accept_wildcards, statement_of

ISSUER = "token.actions.githubusercontent.com"


class Delivery(PlatformStack):
    """The provider, one an account, and two roles: one for deployments, which the stage's environment alone may assume and which
    so asks for an approval; one for pull requests, which reads templates.
    """

    def __init__(self, scope: Construct, deployment: Deployment, key: kms.IKey) -> None:
        """`key`: encrypts the layers of images."""
        super().__init__(scope, "delivery", deployment)
        self.key_arn = key.key_arn
        self.provider = iam.OidcProviderNative(
            self, "Provider", url=f"https://{ISSUER}", client_ids=["sts.amazonaws.com"]
        )
        self._role("deploy", f"environment:{deployment.stage}", delivery_statements(deployment))
        self._role("diff", "pull_request", diff_statements(deployment))

    def _role(self, name: str, subject: str, statements: tuple[Statement, ...]) -> None:
        """A role that workflows of the repository assume where GitHub says that they are the subject."""
        claims = {
            f"{ISSUER}:aud": "sts.amazonaws.com",
            f"{ISSUER}:sub": f"repo:{self.deployment.repository}:{subject}",
        }
        role = iam.Role(
            self,
            name.capitalize(),
            role_name=self.names.of(name),
            max_session_duration=Duration.hours(3),  # the longest job
            assumed_by=iam.WebIdentityPrincipal(self.provider.oidc_provider_arn, {"StringEquals": claims}),
        )
        policy = iam.Policy(self, f"{name}-policy", policy_name=self.names.of(name), roles=[role])
        for each in statements:
            policy.add_statements(statement_of(each.document, self.key_arn))
        accept_wildcards(policy, Role(name, statements))
        CfnOutput(self, f"{name.capitalize()}Role", value=role.role_arn, description="role-to-assume of the workflow")
