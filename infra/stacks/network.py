"""The network: three zones, private subnets for all processes, ways to AWS that do not leave it, and the cluster."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_efs as efs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_servicediscovery as servicediscovery
from constructs import Construct

from infra.deployment import Deployment
from infra.names import CACHE_PORT, FILES_PORT, PORTS
from infra.stacks.base import PlatformStack

RANGE = "10.20.0.0/16"
PRIVATE = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS)
ISOLATED = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
SERVICES = {
    "ecr": ec2.InterfaceVpcEndpointAwsService.ECR,
    "ecr-docker": ec2.InterfaceVpcEndpointAwsService.ECR_DOCKER,
    "logs": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
    "kinesis": ec2.InterfaceVpcEndpointAwsService.KINESIS_STREAMS,
    "secrets": ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
    "parameters": ec2.InterfaceVpcEndpointAwsService.SSM,
    "queue": ec2.InterfaceVpcEndpointAwsService.SQS,
    "key": ec2.InterfaceVpcEndpointAwsService.KMS,
    "glue": ec2.InterfaceVpcEndpointAwsService.GLUE,
}
"""Services that processes use all day, so that it costs less to reach them inside the network; Redshift has no other way to Glue."""

PATHS = (
    ("people", "dagster", PORTS["web-server"]),
    ("people", "reports", PORTS["reports"]),
    ("dagster", "dagster", PORTS["code-server"]),
    ("dagster", "mlflow", PORTS["mlflow"]),
    ("gateway", "mlflow", PORTS["mlflow"]),
    ("api", "gateway", PORTS["gateway"]),
    ("gateway", "shared", CACHE_PORT),
)
"""Who may reach whom, and at which port; nothing else comes in anywhere."""


class Network(PlatformStack):
    """VPC, endpoints, cluster, names inside the network, and the file system of the world."""

    def __init__(self, scope: Construct, deployment: Deployment, key: kms.IKey) -> None:
        """`key`: encrypts logs and the file system."""
        super().__init__(scope, "network", deployment)
        self.key = self.imported(key)
        self.vpc = self._vpc()
        self.cluster = ecs.Cluster(
            self,
            "Cluster",
            cluster_name=self.names.of("platform"),
            vpc=self.vpc,
            container_insights_v2=ecs.ContainerInsights.ENABLED,
            enable_fargate_capacity_providers=True,
        )
        insights = f"/aws/ecs/containerinsights/{self.names.of('platform')}/performance"
        self.cluster.node.add_dependency(self.log_group("insights", self.key, insights))
        self.namespace = servicediscovery.PrivateDnsNamespace(
            self, "Internal", name=f"{self.names.base}.internal", vpc=self.vpc
        )
        self.groups = self._groups()
        self.files, self.world = self._world()

    def _vpc(self) -> ec2.Vpc:
        subnets = [
            ec2.SubnetConfiguration(name="public", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=24),
            ec2.SubnetConfiguration(name="private", subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS, cidr_mask=20),
            ec2.SubnetConfiguration(name="data", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=24),
        ]
        vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(RANGE),
            availability_zones=self.deployment.zones,
            nat_gateways=self.deployment.size.nat_gateways if self.deployment.is_production else 1,
            subnet_configuration=subnets,
        )
        vpc.add_flow_log(
            "Flows",
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(
                self.log_group("network", self.key), self._flow_role()
            ),
            traffic_type=ec2.FlowLogTrafficType.REJECT,
        )
        vpc.add_gateway_endpoint("s3", service=ec2.GatewayVpcEndpointAwsService.S3)
        inside = ec2.SecurityGroup(self, "Inside", vpc=vpc, description="recsys: to services of AWS")
        inside.add_ingress_rule(ec2.Peer.ipv4(RANGE), ec2.Port.HTTPS, "from the whole network")
        for name, service in SERVICES.items():
            vpc.add_interface_endpoint(name, service=service, security_groups=[inside], open=False)
        return vpc

    def _groups(self) -> dict[str, ec2.SecurityGroup]:
        """All security groups between processes, in one stack, so that a rule between two never joins two stacks in a cycle."""
        made = {
            name: ec2.SecurityGroup(self, name, vpc=self.vpc, description=f"recsys: {name}", allow_all_outbound=True)
            for name in (
                "dagster",
                "mlflow",
                "gateway",
                "people",
                "api",
                "shared",
                "spark",
                "notebooks",
                "analytics",
                "reports",
            )
        }
        for network in self.deployment.company_networks:
            made["people"].add_ingress_rule(ec2.Peer.ipv4(network), ec2.Port.HTTPS, "people of the company")
        for source, target, port in PATHS:
            made[target].add_ingress_rule(made[source], ec2.Port.tcp(port), f"{source} to {target}")
        return made

    def _flow_role(self) -> iam.IRole:
        return self.role("network")

    def _world(self) -> tuple[efs.FileSystem, efs.AccessPoint]:
        """What runs write and gateways read: serving snapshots, API keys, and events that are not delivered yet."""
        files = efs.FileSystem(
            self,
            "Files",
            vpc=self.vpc,
            vpc_subnets=ISOLATED,
            file_system_name=self.names.of("world"),
            encrypted=True,
            kms_key=self.key,
            enable_automatic_backups=True,
            throughput_mode=efs.ThroughputMode.ELASTIC,
            lifecycle_policy=efs.LifecyclePolicy.AFTER_30_DAYS,
            allow_anonymous_access=False,
            removal_policy=RemovalPolicy.RETAIN if self.deployment.is_production else RemovalPolicy.DESTROY,
        )
        for name in ("dagster", "gateway"):
            files.connections.allow_from(self.groups[name], ec2.Port.tcp(FILES_PORT))
        owner = efs.PosixUser(uid="1000", gid="1000")
        world = files.add_access_point(
            "World",
            path="/world",
            posix_user=owner,
            create_acl=efs.Acl(owner_uid="1000", owner_gid="1000", permissions="0750"),
        )
        return files, world
