"""A container of the platform on Fargate: one way to describe it for all processes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aws_cdk import Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs

from infra.names import PORTS
from infra.processes import WORLD, HealthCheck
from infra.stacks.base import PlatformStack, accept
from infra.stacks.network import PRIVATE, Network

NO_SECRETS = {"AwsSolutions-ECS2": "names and addresses; what is secret comes from Secrets Manager"}
BAKE_TIME = Duration.minutes(25)
"""How long a new version has all requests while the one before can take them back: ten minutes more than the periods of the alarms,
for a period begins with the clock and not with the release, and a metric arrives minutes late."""
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
    health: HealthCheck | None = None
    container: str = ""
    """The container's name, that of the process by default."""


class Containers:
    """Makes task definitions and services in a stack."""

    def __init__(self, stack: PlatformStack, network: Network, key: kms.IKey) -> None:
        """`stack`: where they go. `network`: where they run. `key`: encrypts their logs."""
        self.stack, self.network, self.key = stack, network, key
        self.execution = stack.role("execution")
        self.log_groups: dict[str, logs.ILogGroup] = {}

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

    def add_migration(self, task: ecs.FargateTaskDefinition, process: Process) -> None:
        """A container that brings tables up to date; the task's own container starts once that has succeeded."""
        assert task.default_container, "made with the task"  # noqa: S101
        migration = self._add_container(task, process, essential=False)
        task.default_container.add_container_dependencies(
            ecs.ContainerDependency(container=migration, condition=ecs.ContainerDependencyCondition.SUCCESS)
        )

    def _add_container(
        self, task: ecs.FargateTaskDefinition, process: Process, *, essential: bool = True
    ) -> ecs.ContainerDefinition:
        listens = essential and process.name in PORTS
        return task.add_container(
            process.container or process.name,
            essential=essential,
            image=self.image(process.image),
            command=process.command,
            entry_point=process.entry_point,
            environment=dict(process.environment),
            secrets=dict(process.secrets),
            health_check=_health_check(process.health) if process.health else None,
            stop_timeout=Duration.seconds(120),
            port_mappings=[ecs.PortMapping(container_port=PORTS[process.name])] if listens else None,
            logging=ecs.LogDrivers.aws_logs(stream_prefix=process.name, log_group=self._log_group(process.name)),
        )

    def _log_group(self, process: str) -> logs.ILogGroup:
        """The log group of a process; a migration writes into that of the process which waits for it."""
        if process not in self.log_groups:
            self.log_groups[process] = self.stack.log_group(process, self.key)
        return self.log_groups[process]

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
        tasks: int | None = 1,
        overlapping: bool = True,
        discovered: bool = False,
        proven_by: Sequence[str] = (),
    ) -> ecs.FargateService:
        """A service that goes back by itself when a new version does not come up.

        `overlapping`: whether an old and a new task may run at the same time. `discovered`: whether it has a name in the network.
        `tasks`: how many; None where they follow the load, since a number would be set again by every deployment.
        `proven_by`: alarms. With them all new tasks stand beside all old ones before the first request, and the old ones stay for
        BAKE_TIME more; an alarm leads the requests back to them.
        """
        own_names = self.stack.names
        of_blue_green = {
            "deployment_strategy": ecs.DeploymentStrategy.BLUE_GREEN,
            "bake_time": BAKE_TIME,
            "deployment_alarms": ecs.DeploymentAlarmConfig(
                alarm_names=[own_names.of(each) for each in proven_by], behavior=ecs.AlarmBehavior.ROLLBACK_ON_ALARM
            ),
        }
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
            health_check_grace_period=Duration.minutes(3) if name in ("gateway", "web-server", "reports") else None,
            cloud_map_options=ecs.CloudMapOptions(name=name, cloud_map_namespace=names) if discovered else None,
            **(of_blue_green if proven_by else {}),  # type: ignore[arg-type]
        )


def _health_check(check: HealthCheck) -> ecs.HealthCheck:
    return ecs.HealthCheck(
        command=["CMD", *check.command],
        interval=Duration.seconds(check.interval),
        timeout=Duration.seconds(check.timeout),
        start_period=Duration.minutes(2),
    )
