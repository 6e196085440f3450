"""Names of resources, the same in every template, policy and parameter.

A name that is known before anything is deployed lets all policies stand in one place (permissions.py) without a cycle between stacks.
"""

from dataclasses import dataclass

from infra.deployment import Deployment

DATA_KEY = "${DataKey}"
"""Stands in policies for the ARN of the key, which only CloudFormation knows."""
PORTS = {
    "code-server": 4000,
    "web-server": 3000,
    "mlflow": 5000,
    "gateway": 8000,
    "gateway-metrics": 9100,
    "reports": 8085,
}
DATABASE_PORT, CACHE_PORT, FILES_PORT = 5433, 6380, 2049


@dataclass(frozen=True)
class Names:
    """Names and ARNs of one deployment."""

    deployment: Deployment

    @property
    def base(self) -> str:
        """What every name begins with."""
        return f"recsys-{self.deployment.stage}"

    def of(self, what: str) -> str:
        """The name of a resource that is unique in an account and region."""
        return f"{self.base}-{what}"

    def bucket(self, what: str) -> str:
        """The name of a bucket, unique in the world."""
        return f"{self.base}-{what}-{self.deployment.account}"

    def bucket_arn(self, what: str) -> str:
        """The ARN of a bucket."""
        return f"arn:aws:s3:::{self.bucket(what)}"

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a resource of this account and region."""
        return f"arn:aws:{service}:{self.deployment.region}:{self.deployment.account}:{resource}"

    def role_arn(self, process: str) -> str:
        """The ARN of the role of a process."""
        return f"arn:aws:iam::{self.deployment.account}:role/{self.of(process)}"

    def secret(self, what: str) -> str:
        """The name of a secret."""
        return f"{self.base}/{what}"

    def secret_arn(self, what: str) -> str:
        """The ARN of a secret; six characters at its end are made by Secrets Manager."""
        return self.arn("secretsmanager", f"secret:{self.secret(what)}-??????")

    @property
    def parameters(self) -> str:
        """The path of the platform's settings in Parameter Store: RECSYS_PARAMETERS."""
        return f"/recsys/{self.deployment.stage}"

    @property
    def routing(self) -> str:
        """The path of experiments, shelves, shadow traffic and the canary: RECSYS_ROUTING_PARAMETERS."""
        return f"{self.parameters}/routing"

    @property
    def queue_url(self) -> str:
        """The queue of landing notifications."""
        return f"https://sqs.{self.deployment.region}.amazonaws.com/{self.deployment.account}/{self.of('landing')}"

    @property
    def glue_database(self) -> str:
        """The Glue database of the hub's tables, which the platform registers."""
        return self.of("hub").replace("-", "_")

    @property
    def discovered_database(self) -> str:
        """The Glue database of what the crawler finds."""
        return self.of("discovered").replace("-", "_")

    @property
    def endpoint(self) -> str:
        """The SageMaker endpoint."""
        return self.of("models")

    def log_group(self, process: str) -> str:
        """The log group of a process."""
        return f"/recsys/{self.deployment.stage}/{process}"

    def host(self, name: str) -> str:
        """A public name of the deployment."""
        return f"{name}.{self.deployment.domain}"

    def internal_host(self, process: str) -> str:
        """The name of a process inside the network."""
        return f"{process}.{self.base}.internal"
