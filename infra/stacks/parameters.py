"""The platform's settings in Parameter Store, named as the settings are, right below RECSYS_PARAMETERS."""

from collections.abc import Mapping

from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.deployment import Deployment
from infra.settings import KNOWN_ON_DEPLOYMENT, parameters
from infra.stacks.base import PlatformStack
from infra.stacks.identity import Identity


class Parameters(PlatformStack):
    """One parameter a setting."""

    def __init__(self, scope: Construct, deployment: Deployment, identity: Identity) -> None:
        """`identity`: the key, and the issuer of readers' tokens."""
        super().__init__(scope, "parameters", deployment)
        for name, value in {**parameters(deployment), **_known_on_deployment(identity)}.items():
            ssm.StringParameter(
                self,
                name,
                parameter_name=f"{self.names.parameters}/{name}",
                string_value=value,
                description=f"RECSYS_{name.upper()}",
            )


def _known_on_deployment(identity: Identity) -> Mapping[str, str]:
    issuer = identity.issuer
    values = (identity.key.key_arn, issuer, identity.app_client.user_pool_client_id, f"{issuer}/.well-known/jwks.json")
    return dict(zip(KNOWN_ON_DEPLOYMENT, values, strict=True))
