"""A container of the platform on Fargate: one way to describe it for all processes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aws_cdk import Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_kms as kms

from infra.names import PORTS
from infra.stacks.base import PlatformStack, accept
from infra.stacks.network import PRIVATE, Network

WORLD = "/var/lib/recsys"
NO_SECRETS = {"AwsSolutions-ECS2": "names and addresses; what is secret comes from Secrets Manager"}
_ON_DEMAND = ecs.CapacityProviderStrategy(capacity_provider="FARGATE", weight=1)


@dataclass(frozen=True)
class Process:
    """What a container runs. `image`: the repository. CPU in units of ECS, memory in MiB."""

    name: str
    image: str
    cpu: int = 512
    memory: int = 2048
    command: Sequence[str] | None = None
    entry_point: Sequence[str] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, ecs.Secret] = field(default_factory=dict)
    health: Sequence[str] | None = None
    container: str = ""
    """The container's name, that of the process by default."""


class Containers:
    """Makes task definitions and services in a stack."""

    def __init__(self, stack: PlatformStack, network: Network, key: kms.IKey) -> None:
        """`stack`: where they go. `network`: where they run. `key`: encrypts their logs."""
        self.stack, self.network, self.key = stack, network, key
        self.execution = stack.role("execution")

    def image(self, repository: str) -> ecs.ContainerImage:
        """An image of a repository, at the tag of the deployment."""
        names, tag = self.stack.names, self.stack.deployment.image_tag
        found = ecr.Repository.from_repository_attributes(
            self.stack,
            f"image-{len(self.stack.node.children)}",
            repository_name=names.of(repository),
            repository_arn=names.arn("ecr", f"repository/{names.of(repository)}"),
        )
        return ecs.ContainerImage.from_ecr_repository(found, tag)

    def task(self, process: Process, *, with_world: bool = False) -> ecs.FargateTaskDefinition:
        """The task definition of a process."""
        stack = self.stack
        task = ecs.FargateTaskDefinition(
            stack,
            f"{process.name}-task",
            family=stack.names.of(process.name),
            cpu=process.cpu,
            memory_limit_mib=process.memory,
            task_role=stack.role(process.name),
            execution_role=self.execution,
            volumes=[self._world()] if with_world else None,
        )
        container = self._add_container(task, process)
        if with_world:
            container.add_mount_points(ecs.MountPoint(source_volume="world", container_path=WORLD, read_only=False))
        accept(task, NO_SECRETS)
        return task

    def _add_container(self, task: ecs.FargateTaskDefinition, process: Process) -> ecs.ContainerDefinition:
        health = (
            ecs.HealthCheck(command=["CMD", *process.health], start_period=Duration.minutes(2))
            if process.health
            else None
        )
        return task.add_container(
            process.container or process.name,
            image=self.image(process.image),
            command=process.command,
            entry_point=process.entry_point,
            environment=dict(process.environment),
            secrets=dict(process.secrets),
            health_check=health,
            stop_timeout=Duration.seconds(120),
            port_mappings=[ecs.PortMapping(container_port=PORTS[process.name])] if process.name in PORTS else None,
            logging=ecs.LogDrivers.aws_logs(
                stream_prefix=process.name, log_group=self.stack.log_group(process.name, self.key)
            ),
        )

    def _world(self) -> ecs.Volume:
        files, point = self.network.files, self.network.world
        return ecs.Volume(
            name="world",
            efs_volume_configuration=ecs.EfsVolumeConfiguration(
                file_system_id=files.file_system_id,
                transit_encryption="ENABLED",
                authorization_config=ecs.AuthorizationConfig(access_point_id=point.access_point_id, iam="ENABLED"),
            ),
        )

    def service(
        self,
        task: ecs.FargateTaskDefinition,
        name: str,
        group: ec2.SecurityGroup,
        *,
        tasks: int = 1,
        overlapping: bool = True,
        discovered: bool = False,
    ) -> ecs.FargateService:
        """A service that goes back by itself when a new version does not come up.

        `overlapping`: whether an old and a new task may run at the same time. `discovered`: whether it has a name in the network.
        """
        names = self.network.namespace
        return ecs.FargateService(
            self.stack,
            name,
            service_name=self.stack.names.of(name),
            cluster=self.network.cluster,
            task_definition=task,
            desired_count=tasks,
            min_healthy_percent=100 if overlapping else 0,
            max_healthy_percent=200 if overlapping else 100,
            circuit_breaker=ecs.DeploymentCircuitBreaker(enable=True, rollback=True),
            capacity_provider_strategies=[_ON_DEMAND],
            security_groups=[group],
            vpc_subnets=PRIVATE,
            propagate_tags=ecs.PropagatedTagSource.SERVICE,
            enable_ecs_managed_tags=True,
            availability_zone_rebalancing=ecs.AvailabilityZoneRebalancing.ENABLED if overlapping else None,
            health_check_grace_period=Duration.minutes(3) if name in ("gateway", "web-server") else None,
            cloud_map_options=ecs.CloudMapOptions(name=name, cloud_map_namespace=names) if discovered else None,
        )


def answers_at(place: str) -> list[str]:
    """The command of a health check: the process answers at a port and path of its own."""
    return ["python", "-c", f"import urllib.request as r; r.urlopen('http://127.0.0.1:{place}', timeout=2)"]
