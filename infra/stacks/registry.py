"""The model registry: an MLflow server with a database of its own; models lie in the bucket of models."""

from dataclasses import replace

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.deployment import Deployment
from infra.names import DATABASE_PORT, PORTS
from infra.processes import HEALTH_CHECKS, MLFLOW_MIGRATION, mlflow_options
from infra.stacks.base import PlatformStack
from infra.stacks.containers import Containers, Process
from infra.stacks.databases import postgres
from infra.stacks.network import Network


class Registry(PlatformStack):
    """MLflow, which only processes of the platform reach: it has no sign-in of its own."""

    def __init__(self, scope: Construct, deployment: Deployment, network: Network, key: kms.IKey) -> None:
        """`key`: encrypts the database and logs."""
        super().__init__(scope, "registry", deployment)
        own_key = self.imported(key)
        self.database = postgres(self, network, own_key, "mlflow", "t4g.medium")
        self.database.connections.allow_from(network.groups["mlflow"], _port())
        containers = Containers(self, network, own_key)
        process = self._process()
        task = containers.task(process)
        program, *options = MLFLOW_MIGRATION
        migration = replace(process, container="migrate", health=None, entry_point=[program], command=options)
        containers.add_migration(task, migration)
        self.service = containers.service(task, "mlflow", network.groups["mlflow"], tasks=2, discovered=True)

    def _process(self) -> Process:
        where = self.database.db_instance_endpoint_address
        secret = self.database.secret
        assert secret, "made with the database"  # noqa: S101
        port = str(PORTS["mlflow"])
        return Process(
            "mlflow",
            image="mlflow",
            cpu=1024,
            memory=4096,
            entry_point=["mlflow", "server"],
            command=mlflow_options(f"s3://{self.names.bucket('models')}/mlflow"),
            environment={
                "PGHOST": where,
                "PGPORT": str(DATABASE_PORT),
                "PGDATABASE": "mlflow",
                "PGSSLMODE": "require",
                # It refuses requests to other names than these, so that no web page can lead a browser here.
                "MLFLOW_SERVER_ALLOWED_HOSTS": f"{self.names.internal_host('mlflow')}:{port},127.0.0.1:{port}",
            },
            secrets={
                "PGUSER": ecs.Secret.from_secrets_manager(secret, "username"),
                "PGPASSWORD": ecs.Secret.from_secrets_manager(secret, "password"),
            },
            health=HEALTH_CHECKS["mlflow"],
        )


def _port() -> ec2.Port:
    return ec2.Port.tcp(DATABASE_PORT)
