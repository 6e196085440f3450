"""The recommendation API: gateways over three zones, what they share, and API Gateway before them."""

import json
from collections.abc import Mapping

from aws_cdk import Duration, SecretValue
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.alarms import DIMENSIONS, GATEWAY
from infra.deployment import Deployment
from infra.names import CACHE_PORT, PORTS
from infra.processes import HEALTH_CHECKS, WORLD
from infra.stacks.base import PlatformStack, accept
from infra.stacks.containers import NO_SECRETS, Containers, Process
from infra.stacks.hub import Hub
from infra.stacks.identity import Identity
from infra.stacks.network import ISOLATED, PRIVATE, Network
from infra.stacks.orchestration import zone_of
from recsys_platform.monitoring.metrics import SERVICE

COLLECTOR = "public.ecr.aws/aws-observability/aws-otel-collector:v0.43.3"
CACHE_USER = "gateway"
DEPLOYMENT_ALARMS = ("gateway-errors", "gateway-fallback", "gateway-empty")
"""What a new version must not raise: it may start and answer, and still fail, or know no model."""


class Serving(PlatformStack):
    """Gateways on ECS behind a balancer inside the network, and the Valkey that they share."""

    def __init__(
        self, scope: Construct, deployment: Deployment, network: Network, identity: Identity, hub: Hub, key: kms.IKey
    ) -> None:
        """`identity`: the salt. `hub`: where logs go. `key`: encrypts logs and the shared memory."""
        super().__init__(scope, "serving", deployment)
        self.network, self.identity, self.hub = network, identity, hub
        self.own_key = self.imported(key)
        self.shared = self._shared()
        self.secret = self._secret()
        self.service = self._service()
        self.balancer = self._balancer()

    def _shared(self) -> elasticache.CfnReplicationGroup:
        """Memory of all gateways: one shard, since limits and events of a reader are changed together."""
        is_production = self.deployment.is_production
        subnets = elasticache.CfnSubnetGroup(
            self,
            "SharedSubnets",
            cache_subnet_group_name=self.names.of("shared"),
            description="recsys: shared memory of gateways",
            subnet_ids=self.network.vpc.select_subnets(subnet_type=ISOLATED.subnet_type).subnet_ids,
        )
        settings = elasticache.CfnParameterGroup(
            self,
            "SharedSettings",
            cache_parameter_group_family="valkey8",
            description="recsys: what expires next goes first",
            properties={"maxmemory-policy": "volatile-ttl"},
        )
        shared = elasticache.CfnReplicationGroup(
            self,
            "Shared",
            replication_group_id=self.names.of("shared"),
            replication_group_description="recsys: shared memory of gateways",
            engine="valkey",
            engine_version="8.0",
            cache_node_type=self.deployment.size.cache,
            num_cache_clusters=3 if is_production else 2,
            automatic_failover_enabled=True,
            multi_az_enabled=True,
            port=CACHE_PORT,
            cache_subnet_group_name=subnets.ref,
            cache_parameter_group_name=settings.ref,
            security_group_ids=[self.network.groups["shared"].security_group_id],
            at_rest_encryption_enabled=True,
            kms_key_id=self.own_key.key_arn,
            transit_encryption_enabled=True,
            transit_encryption_mode="required",
            user_group_ids=[self._users().ref],
            snapshot_retention_limit=1 if is_production else 0,
            auto_minor_version_upgrade=True,
        )
        accept(
            shared,
            {
                "AwsSolutions-AEC6": "users with a password and rights of their own (RBAC) stand in for one password of all"
            },
        )
        return shared

    def _users(self) -> elasticache.CfnUserGroup:
        """The gateway's user, which sees only the platform's names and runs no command of an administrator; `default` is shut."""
        self.password = secretsmanager.Secret(
            self,
            "SharedPassword",
            secret_name=self.names.secret("shared-password"),
            description="Password of the gateways' user of Valkey",
            encryption_key=self.own_key,
            generate_secret_string=secretsmanager.SecretStringGenerator(password_length=48, exclude_punctuation=True),
        )
        accept(
            self.password,
            {
                "AwsSolutions-SMG4": "gateways read it when they start; it is rotated with a deployment, as deployment.md says"
            },
        )
        gateway = elasticache.CfnUser(
            self,
            "GatewayUser",
            engine="valkey",
            user_id=self.names.of(CACHE_USER),
            user_name=CACHE_USER,
            access_string="on ~recsys:* ~throttled:* +@all -@admin -@dangerous +info",
            passwords=[self.password.secret_value.unsafe_unwrap()],
        )
        default = elasticache.CfnUser(
            self,
            "DefaultUser",
            engine="valkey",
            user_id=self.names.of("nobody"),
            user_name="default",
            access_string="off ~nothing -@all",
            no_password_required=False,
            passwords=[self.password.secret_value.unsafe_unwrap()],
        )
        return elasticache.CfnUserGroup(
            self, "Users", engine="valkey", user_group_id=self.names.of("gateways"), user_ids=[gateway.ref, default.ref]
        )

    def _secret(self) -> secretsmanager.Secret:
        """The secret settings of the gateway: it needs the salt, but not Snowflake's key."""
        password = self.password.secret_value.unsafe_unwrap()
        host = self.shared.attr_primary_end_point_address
        salt = self.identity.platform_secret.secret_value_from_json("pii_salt").unsafe_unwrap()
        values = {"redis_url": f"rediss://{CACHE_USER}:{password}@{host}:{CACHE_PORT}/0", "pii_salt": salt}
        secret = secretsmanager.Secret(
            self,
            "Gateway",
            secret_name=self.names.secret("gateway"),
            description="Settings of the gateway that are secret, made of other secrets",
            encryption_key=self.own_key,
            secret_object_value={name: SecretValue.unsafe_plain_text(value) for name, value in values.items()},
        )
        accept(secret, {"AwsSolutions-SMG4": "it is made of other secrets and follows them with a deployment"})
        return secret

    def _service(self) -> ecs.FargateService:
        size = self.deployment.size
        containers = Containers(self, self.network, self.own_key)
        process = Process(
            "gateway",
            image="gateway",
            cpu=size.gateway_cpu,
            memory=size.gateway_memory,
            environment=self._environment(),
            health=HEALTH_CHECKS["gateway"],
        )
        task = containers.task(process, with_world=True)
        self._add_collector(task)
        least, most = size.gateway_tasks if self.deployment.is_production else (1, 2)
        service = containers.service(
            task, "gateway", self.network.groups["gateway"], tasks=None, proven_by=DEPLOYMENT_ALARMS
        )
        service.auto_scale_task_count(min_capacity=least, max_capacity=most).scale_on_cpu_utilization(
            "Cpu",
            target_utilization_percent=50,  # a zone may fail: the others then take half as much again
            scale_in_cooldown=Duration.minutes(10),
            scale_out_cooldown=Duration.minutes(1),
        )
        return service

    def _environment(self) -> Mapping[str, str]:
        return {
            "RECSYS_PARAMETERS": self.names.parameters,
            "RECSYS_SECRET": self.names.secret("gateway"),
            "RECSYS_HOME": WORLD,
            # Required on AWS; a gateway opens no warehouse, so that it is not given the key.
            "RECSYS_SNOWFLAKE_PRIVATE_KEY": "none",  # pragma: allowlist secret
        }

    def _add_collector(self, task: ecs.FargateTaskDefinition) -> None:
        """Beside each gateway: reads its metrics and sends those that are watched to CloudWatch."""
        task.add_container(
            "collector",
            image=ecs.ContainerImage.from_registry(COLLECTOR),
            essential=False,
            enable_restart_policy=True,  # without it the alarms of gateways would see nothing until the next deployment
            cpu=64,
            memory_limit_mib=256,
            environment={
                "AOT_CONFIG_CONTENT": json.dumps(collector_config(self.names.base, self.names.log_group("metrics")))
            },
            logging=ecs.LogDrivers.aws_logs(
                stream_prefix="collector", log_group=self.log_group("collector", self.own_key)
            ),
        )
        self.log_group("metrics", self.own_key)
        accept(task, NO_SECRETS)

    def _balancer(self) -> elb.NetworkLoadBalancer:
        """Inside the network: API Gateway is the only way in."""
        balancer = elb.NetworkLoadBalancer(
            self,
            "Api",
            load_balancer_name=self.names.of("api"),
            vpc=self.network.vpc,
            vpc_subnets=PRIVATE,
            internet_facing=False,
            cross_zone_enabled=True,
            security_groups=[self.network.groups["api"]],
            # What comes through API Gateway's link has no address of this network.
            enforce_security_group_inbound_rules_on_private_link_traffic=False,
            deletion_protection=self.deployment.is_production,
        )
        balancer.log_access_logs(self.hub.access_logs, "api")
        self.certificate = acm.Certificate(
            self,
            "Certificate",
            domain_name=self.names.host("api"),
            subject_alternative_names=[self.names.host("gateway")],
            validation=acm.CertificateValidation.from_dns(zone_of(self)),
        )
        blue, green = self._targets("blue"), self._targets("green")
        listener = balancer.add_listener(
            "Tls",
            port=443,
            protocol=elb.Protocol.TLS,
            certificates=[self.certificate],
            ssl_policy=elb.SslPolicy.RECOMMENDED_TLS,
            default_target_groups=[blue],
        )
        other = ecs.AlternateTarget(
            "Other",
            alternate_target_group=green,
            production_listener=ecs.ListenerRuleConfiguration.network_listener(listener),
            role=self.role("load-balancing"),
        )
        port = PORTS["gateway"]
        blue.add_target(
            self.service.load_balancer_target(container_name="gateway", container_port=port, alternate_target=other)
        )
        return balancer

    def _targets(self, colour: str) -> elb.NetworkTargetGroup:
        """One of the two groups that versions of the gateway take turns in; the listener leads to either."""
        return elb.NetworkTargetGroup(
            self,
            f"{colour}-gateways",
            target_group_name=self.names.of(colour),
            vpc=self.network.vpc,
            target_type=elb.TargetType.IP,
            port=PORTS["gateway"],
            protocol=elb.Protocol.TCP,
            health_check=elb.HealthCheck(
                protocol=elb.Protocol.HTTP, path="/readyz", interval=Duration.seconds(10), healthy_threshold_count=2
            ),
            deregistration_delay=Duration.seconds(60),
        )


def collector_config(service: str, log_group: str) -> dict[str, object]:
    """What the collector reads, and which metrics it sends; each has the dimension `service` with the deployment's name."""
    scrape = {
        "job_name": "gateway",
        "scrape_interval": "60s",
        "static_configs": [{"targets": [f"127.0.0.1:{PORTS['gateway-metrics']}"], "labels": {SERVICE: service}}],
    }
    declarations = [
        # `$$` is a `$`: the collector puts variables of the environment into its configuration.
        {"dimensions": [[SERVICE, *each] for each in labels], "metric_name_selectors": [f"^{name}$$"]}
        for name, labels in DIMENSIONS.items()
    ]
    exporter = {
        "namespace": GATEWAY,
        "log_group_name": log_group,
        "dimension_rollup_option": "NoDimensionRollup",
        # Counters are sent as what they rose by. By default the first value of each is left out: the first errors after a start would
        # be. This collector starts with its gateway, whose counters start with 0.
        "retain_initial_value_of_delta_metric": True,
        "metric_declarations": declarations,
    }
    pipeline = {"receivers": ["prometheus"], "processors": ["batch"], "exporters": ["awsemf"]}
    return {
        "receivers": {"prometheus": {"config": {"scrape_configs": [scrape]}}},
        "processors": {"batch": {"timeout": "60s"}},
        "exporters": {"awsemf": exporter},
        "service": {"pipelines": {"metrics": pipeline}},
    }
