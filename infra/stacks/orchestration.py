"""Dagster: code server, web server behind a sign-in, one daemon, the definition of runs, and their database."""

from collections.abc import Mapping
from dataclasses import replace

from aws_cdk import Duration
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_elasticloadbalancingv2_actions as actions
from aws_cdk import aws_kms as kms
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_route53_targets as targets
from constructs import Construct

from infra.deployment import Deployment
from infra.names import DATABASE_PORT, PORTS
from infra.processes import DAGSTER_HOME, DAGSTER_MIGRATION, HEALTH_CHECKS, WORLD, dagster_command
from infra.settings import parameters
from infra.stacks.base import PlatformStack
from infra.stacks.containers import Containers, Process
from infra.stacks.databases import postgres
from infra.stacks.hub import Hub
from infra.stacks.identity import Identity
from infra.stacks.network import Network


class Orchestration(PlatformStack):
    """The processes of docs/deployment.md."""

    def __init__(
        self, scope: Construct, deployment: Deployment, network: Network, identity: Identity, hub: Hub, key: kms.IKey
    ) -> None:
        """`identity`: who may sign in. `hub`: where logs go. `key`: encrypts the database and logs."""
        super().__init__(scope, "orchestration", deployment)
        self.network, self.identity, self.hub = network, identity, hub
        self.own_key = self.imported(key)
        self.group = network.groups["dagster"]
        self.database = postgres(self, network, self.own_key, "dagster", deployment.size.database)
        self.database.connections.allow_from(self.group, ec2.Port.tcp(DATABASE_PORT))
        self.containers = Containers(self, network, self.own_key)
        self.run = self.containers.task(self._run(), with_world=True)
        self.code_server = self._service("code-server", memory=4096, cpu=1024, discovered=True)
        # Two daemons would launch every run twice, so an old one stops before a new one starts.
        self.daemon = self._service("daemon", overlapping=False)
        self.web_server = self._service("web-server", tasks=2 if deployment.is_production else 1)
        for asks_it in (
            self.daemon,
            self.web_server,
        ):  # they take definitions only from a code server of their own release
            asks_it.node.add_dependency(self.code_server)
        self.reports = self._reports_service()
        self.balancer = self._balancer()

    def _service(
        self,
        name: str,
        *,
        cpu: int = 512,
        memory: int = 2048,
        tasks: int = 1,
        overlapping: bool = True,
        discovered: bool = False,
    ) -> ecs.FargateService:
        process = Process(
            name,
            image="dagster",
            cpu=cpu,
            memory=memory,
            entry_point=[],
            command=dagster_command(name, self.names.internal_host("code-server")),
            environment=self._environment(name),
            secrets=self._secrets(),
            health=HEALTH_CHECKS.get(name),
        )
        task = self.containers.task(process)
        if name == "code-server":
            self.containers.add_migration(
                task, replace(process, container="migrate", command=DAGSTER_MIGRATION, health=None)
            )
        return self.containers.service(
            task, name, self.group, tasks=tasks, overlapping=overlapping, discovered=discovered
        )

    def _reports_service(self) -> ecs.FargateService:
        """What shows KPI page, evaluation and dbt docs: it reads one bucket, and knows no setting and no secret."""
        port = str(PORTS["reports"])
        process = Process(
            "reports",
            image="dagster",
            entry_point=[],
            command=["recsys", "site", "serve", "--host", "0.0.0.0", "--port", port],  # noqa: S104
            environment={"RECSYS_SITE": parameters(self.deployment)["site"]},
            health=HEALTH_CHECKS["reports"],
        )
        return self.containers.service(self.containers.task(process), "reports", self.network.groups["reports"])

    def _run(self) -> Process:
        size = self.deployment.size
        return Process(
            "run",
            image="dagster",
            cpu=size.run_cpu,
            memory=size.run_memory,
            entry_point=[],
            environment=self._environment("run"),
            secrets=self._secrets(),
        )

    def _environment(self, name: str) -> Mapping[str, str]:
        reads_settings = name in ("code-server", "run")
        return {
            "DAGSTER_HOME": DAGSTER_HOME,
            "DAGSTER_POSTGRES_HOST": self.database.db_instance_endpoint_address,
            "DAGSTER_POSTGRES_PORT": str(DATABASE_PORT),
            "DAGSTER_POSTGRES_DB": "dagster",
            "DAGSTER_LOGS_BUCKET": self.names.bucket("logs"),
            "DAGSTER_RUN_TASK_DEFINITION": self.names.of("run"),
            "SNOWFLAKE_DISABLE_PLATFORM_DETECTION": "true",
            **(
                {"RECSYS_PARAMETERS": self.names.parameters, "RECSYS_SECRET": self.names.secret("platform")}
                if reads_settings
                else {}
            ),
            **({"RECSYS_HOME": WORLD} if reads_settings else {}),
            # Sensors have a minute; by itself MLflow's client asks a dead server for several.
            **(
                {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
                if name == "code-server"
                else {}
            ),
        }

    def _secrets(self) -> Mapping[str, ecs.Secret]:
        secret = self.database.secret
        assert secret, "made with the database"  # noqa: S101
        return {
            "DAGSTER_POSTGRES_USER": ecs.Secret.from_secrets_manager(secret, "username"),
            "DAGSTER_POSTGRES_PASSWORD": ecs.Secret.from_secrets_manager(secret, "password"),
        }

    def _balancer(self) -> elb.ApplicationLoadBalancer:
        """The way to the UI: from the company's networks, over TLS, after a sign-in with a second factor."""
        balancer = elb.ApplicationLoadBalancer(
            self,
            "People",
            load_balancer_name=self.names.of("dagster"),
            vpc=self.network.vpc,
            internet_facing=True,
            security_group=self.network.groups["people"],
            drop_invalid_header_fields=True,
            deletion_protection=self.deployment.is_production,
        )
        balancer.log_access_logs(self.hub.access_logs, "dagster")
        self._listen(balancer)
        return balancer

    def _listen(self, balancer: elb.ApplicationLoadBalancer) -> None:
        zone = zone_of(self)
        certificate = acm.Certificate(
            self,
            "Certificate",
            domain_name=self.names.host("dagster"),
            subject_alternative_names=[self.names.host("reports")],
            validation=acm.CertificateValidation.from_dns(zone),
        )
        group = elb.ApplicationTargetGroup(
            self,
            "Web",
            vpc=self.network.vpc,
            port=PORTS["web-server"],
            protocol=elb.ApplicationProtocol.HTTP,
            targets=[self.web_server],
            health_check=elb.HealthCheck(path="/server_info", interval=Duration.seconds(15)),
            deregistration_delay=Duration.seconds(30),
        )
        listener = balancer.add_listener(
            "Https",
            port=443,
            certificates=[certificate],
            ssl_policy=elb.SslPolicy.RECOMMENDED_TLS,
            open=False,
            default_action=self._after_sign_in(group),
        )
        listener.add_action(
            "Reports",
            priority=10,
            conditions=[elb.ListenerCondition.host_headers([self.names.host("reports")])],
            action=self._after_sign_in(self._pages_target_group()),
        )
        for name, record in (("dagster", "Name"), ("reports", "NameOfReports")):
            route53.ARecord(
                self,
                record,
                zone=zone,
                record_name=self.names.host(name),
                target=route53.RecordTarget.from_alias(targets.LoadBalancerTarget(balancer)),
            )

    def _pages_target_group(self) -> elb.ApplicationTargetGroup:
        return elb.ApplicationTargetGroup(
            self,
            "Pages",
            vpc=self.network.vpc,
            port=PORTS["reports"],
            protocol=elb.ApplicationProtocol.HTTP,
            targets=[self.reports],
            health_check=elb.HealthCheck(path="/healthz", interval=Duration.seconds(30)),
            deregistration_delay=Duration.seconds(30),
        )

    def _after_sign_in(self, group: elb.ApplicationTargetGroup) -> elb.ListenerAction:
        return actions.AuthenticateCognitoAction(
            user_pool=self.identity.pool,
            user_pool_client=self.identity.ui_client,
            user_pool_domain=self.identity.pool_domain,
            session_timeout=Duration.hours(8),
            allow_https_outbound=False,
            next=elb.ListenerAction.forward([group]),
        )


def zone_of(stack: PlatformStack) -> route53.IHostedZone:
    """The zone of the deployment's domain, which its owner has."""
    return route53.HostedZone.from_hosted_zone_attributes(
        stack, "Zone", hosted_zone_id=stack.deployment.hosted_zone_id, zone_name=stack.deployment.domain
    )
