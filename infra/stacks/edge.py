"""What the world sees of the API: its name, tiers with their limits, who is let through, and a firewall."""

from pathlib import Path

from aws_cdk import CfnOutput, Duration, RemovalPolicy
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_route53_targets as targets
from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

from infra import authoriser
from infra.api import CACHE_SECONDS, ENDPOINTS, OPEN
from infra.deployment import Deployment
from infra.settings import API_LIMITS, MONTHLY_REQUESTS
from infra.stacks.base import PlatformStack, accept
from infra.stacks.identity import Identity
from infra.stacks.orchestration import zone_of
from infra.stacks.serving import Serving

RULES = (
    "AWSManagedRulesCommonRuleSet",
    "AWSManagedRulesKnownBadInputsRuleSet",
    "AWSManagedRulesAmazonIpReputationList",
)
COUNTED = (
    "SizeRestrictions_BODY",
    "SizeRestrictions_QUERYSTRING",
    "EC2MetaDataSSRF_BODY",
    "GenericLFI_BODY",
    "GenericRFI_BODY",
    "CrossSiteScripting_BODY",
)
"""Of the first set, only counted: batches of events have up to 1 MB and addresses of pages in them, and lists of books to exclude are
long. The gateway has limits of its own, and a body is data to it."""
REQUESTS_OF_AN_ADDRESS = 30_000
"""In five minutes; apps of a company may share one address."""
STAGE = "live"
_LOG_POLICY = "Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
_API_REASONS = {
    f"AwsSolutions-IAM4[{_LOG_POLICY}]": "API Gateway's own role for its logs, one an account",
    "AwsSolutions-APIG2": "parameters are validated here; bodies by the gateway, whose problem details say what is wrong",
}
_OPEN = "the API's document, its portal and what browsers ask beforehand hold no data; the firewall limits them"
_OPEN_REASONS = {"AwsSolutions-APIG4": _OPEN, "AwsSolutions-COG4": _OPEN}
_KEY_REASONS = {"AwsSolutions-COG4": "a function lets keys and readers' tokens through; the gateway checks both"}


class Edge(PlatformStack):
    """API Gateway before the gateways. A REST API: HTTP APIs have neither usage plans nor a cache nor a firewall."""

    def __init__(
        self, scope: Construct, deployment: Deployment, serving: Serving, identity: Identity, key: kms.IKey
    ) -> None:
        """`serving`: where requests go. `identity`: the issuer of readers' tokens. `key`: encrypts logs."""
        super().__init__(scope, "edge", deployment)
        self.serving, self.own_key = serving, self.imported(key)
        self.link = apigateway.VpcLink(self, "Link", vpc_link_name=self.names.of("api"), targets=[serving.balancer])
        self.authorizer = self._authorizer(identity)
        self.api = self._api()
        for method, path in ENDPOINTS:
            self._add(method, path, is_open=False)
        for method, path in OPEN:
            self._add(method, path, is_open=True)
        for path in {path: None for _, path in ENDPOINTS if deployment.web_origins}:
            self._add(
                "OPTIONS", path, is_open=True
            )  # a browser asks without credentials; the gateway answers for the origins
        for tier in API_LIMITS:
            self._plan(tier)
        self._firewall()
        self._name()

    def _authorizer(self, identity: Identity) -> apigateway.RequestAuthorizer:
        function = lambda_.Function(
            self,
            "Authoriser",
            function_name=self.names.of("authoriser"),
            runtime=lambda_.Runtime.PYTHON_3_14,
            architecture=lambda_.Architecture.ARM_64,
            handler="index.handler",
            code=lambda_.Code.from_inline(Path(authoriser.__file__).read_text(encoding="utf-8")),
            memory_size=256,
            timeout=Duration.seconds(3),
            role=self.role("authoriser"),
            log_group=self.log_group("authoriser", self.own_key),
            environment={"ISSUER": identity.issuer},
            environment_encryption=self.own_key,
        )
        return apigateway.RequestAuthorizer(
            self,
            "Authorizer",
            handler=function,
            identity_sources=[apigateway.IdentitySource.header("Authorization")],
            results_cache_ttl=Duration.minutes(5),
        )

    def _api(self) -> apigateway.RestApi:
        log = self.log_group("api", self.own_key)
        is_large = self.deployment.size_name == "large"
        api = apigateway.RestApi(
            self,
            "Api",
            rest_api_name=self.names.of("api"),
            description="recsys_platform: the recommendation API",
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            disable_execute_api_endpoint=True,  # the name with the firewall and TLS 1.2 is the only one
            cloud_watch_role=True,
            cloud_watch_role_removal_policy=RemovalPolicy.DESTROY,
            min_compression_size=None,
            deploy_options=apigateway.StageOptions(
                stage_name=STAGE,
                access_log_destination=apigateway.LogGroupLogDestination(log),
                access_log_format=apigateway.AccessLogFormat.custom(_log_format()),
                logging_level=apigateway.MethodLoggingLevel.ERROR,
                data_trace_enabled=False,  # bodies and paths tell of readers
                metrics_enabled=True,
                tracing_enabled=True,
                cache_cluster_enabled=True,
                cache_cluster_size="1.6" if is_large else "0.5",
                cache_data_encrypted=True,
                caching_enabled=False,
                method_options={f"{path}/{method}": _cached() for method, path in OPEN},
                throttling_rate_limit=sum(rate for rate, _ in API_LIMITS.values()) * (20 if is_large else 4),
                throttling_burst_limit=5_000,
            ),
        )
        accept(api, _API_REASONS)
        errors = self.log_group("api-errors", self.own_key, f"API-Gateway-Execution-Logs_{api.rest_api_id}/{STAGE}")
        api.deployment_stage.node.add_dependency(errors)
        self.validator = api.add_request_validator(
            "Validator", validate_request_parameters=True, validate_request_body=False
        )
        return api

    def _add(self, method: str, path: str, *, is_open: bool) -> None:
        names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        integration = apigateway.Integration(
            type=apigateway.IntegrationType.HTTP_PROXY,
            integration_http_method=method,
            uri=f"https://{self.names.host('gateway')}{path}",
            options=apigateway.IntegrationOptions(
                connection_type=apigateway.ConnectionType.VPC_LINK,
                vpc_link=self.link,
                timeout=Duration.seconds(5),
                request_parameters={
                    f"integration.request.path.{each}": f"method.request.path.{each}" for each in names
                },
            ),
        )
        resource = self.api.root.resource_for_path(path)
        added = resource.add_method(
            method,
            integration,
            request_parameters={f"method.request.path.{each}": True for each in names},
            request_validator=self.validator,
            api_key_required=not is_open,
            authorizer=None if is_open else self.authorizer,
            authorization_type=apigateway.AuthorizationType.NONE if is_open else apigateway.AuthorizationType.CUSTOM,
        )
        accept(added, _OPEN_REASONS if is_open else _KEY_REASONS)

    def _plan(self, tier: str) -> None:
        """A tier: API Gateway stops what the gateway would refuse, and counts the month."""
        rate, burst = API_LIMITS[tier]
        plan = self.api.add_usage_plan(
            tier,
            name=self.names.of(tier),
            description=f"recsys_platform: tier {tier}",
            throttle=apigateway.ThrottleSettings(rate_limit=rate, burst_limit=burst),
            quota=apigateway.QuotaSettings(limit=MONTHLY_REQUESTS[tier], period=apigateway.Period.MONTH),
        )
        plan.add_api_stage(stage=self.api.deployment_stage)
        CfnOutput(self, f"plan-{tier}", value=plan.usage_plan_id, description=f"Usage plan of the tier {tier}")

    def _firewall(self) -> None:
        wall = wafv2.CfnWebACL(
            self,
            "Firewall",
            name=self.names.of("api"),
            scope="REGIONAL",
            default_action=wafv2.CfnWebACL.DefaultActionProperty(allow={}),
            visibility_config=_visible("firewall"),
            rules=[*(_managed(place, name) for place, name in enumerate(RULES)), _rate_rule(len(RULES))],
        )
        stage = self.api.deployment_stage
        wafv2.CfnWebACLAssociation(self, "Firewalled", resource_arn=stage.stage_arn, web_acl_arn=wall.attr_arn)

    def _name(self) -> None:
        domain = self.api.add_domain_name(
            "Name",
            domain_name=self.names.host("api"),
            certificate=self.serving.certificate,
            security_policy=apigateway.SecurityPolicy.TLS_1_2,
            endpoint_type=apigateway.EndpointType.REGIONAL,
        )
        route53.ARecord(
            self,
            "Record",
            zone=zone_of(self),
            record_name=self.names.host("api"),
            target=route53.RecordTarget.from_alias(targets.ApiGatewayDomain(domain)),
        )


def _log_format() -> str:
    """Nothing that tells of a person: the template of the path instead of the path, and no address."""
    context = apigateway.AccessLogField
    fields = {
        "requestId": context.context_request_id(),
        "time": context.context_request_time(),
        "method": context.context_http_method(),
        "route": context.context_resource_path(),
        "status": context.context_status(),
        "latency": context.context_response_latency(),
        "keyId": context.context_identity_api_key_id(),
    }
    return "{" + ", ".join(f'"{name}": "{value}"' for name, value in fields.items()) + "}"


def _cached() -> apigateway.MethodDeploymentOptions:
    return apigateway.MethodDeploymentOptions(
        caching_enabled=True,
        cache_ttl=Duration.seconds(CACHE_SECONDS),
        cache_data_encrypted=True,
        logging_level=apigateway.MethodLoggingLevel.ERROR,
        metrics_enabled=True,
        throttling_rate_limit=50,
        throttling_burst_limit=100,
    )


def _visible(name: str) -> wafv2.CfnWebACL.VisibilityConfigProperty:
    return wafv2.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=name, sampled_requests_enabled=False
    )


def _managed(place: int, name: str) -> wafv2.CfnWebACL.RuleProperty:
    return wafv2.CfnWebACL.RuleProperty(
        name=name,
        priority=place,
        override_action=wafv2.CfnWebACL.OverrideActionProperty(none={}),
        visibility_config=_visible(name),
        statement=wafv2.CfnWebACL.StatementProperty(
            managed_rule_group_statement=wafv2.CfnWebACL.ManagedRuleGroupStatementProperty(
                vendor_name="AWS", name=name, rule_action_overrides=_counted() if name == RULES[0] else None
            )
        ),
    )


def _counted() -> list[wafv2.CfnWebACL.RuleActionOverrideProperty]:
    return [
        wafv2.CfnWebACL.RuleActionOverrideProperty(
            name=each, action_to_use=wafv2.CfnWebACL.RuleActionProperty(count={})
        )
        for each in COUNTED
    ]


def _rate_rule(place: int) -> wafv2.CfnWebACL.RuleProperty:
    return wafv2.CfnWebACL.RuleProperty(
        name="one-address",
        priority=place,
        action=wafv2.CfnWebACL.RuleActionProperty(block={}),
        visibility_config=_visible("one-address"),
        statement=wafv2.CfnWebACL.StatementProperty(
            rate_based_statement=wafv2.CfnWebACL.RateBasedStatementProperty(
                limit=REQUESTS_OF_AN_ADDRESS, aggregate_key_type="IP"
            )
        ),
    )
