"""What matters in the templates of every size, whichever construct made it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Stack, Validations
from aws_cdk import aws_s3 as s3
from cdk_nag import AwsSolutionsChecks

from infra.alarms import alarms, metric_dimensions, unwatched_metrics
from infra.app import new_app
from infra.deployment import Deployment
from infra.permissions import roles
from infra.processes import HEALTH_CHECKS, HealthCheck
from infra.settings import API_LIMITS, KNOWN_ON_DEPLOYMENT, parameters
from infra.stacks.hub import Hub
from infra.stacks.identity import Identity
from infra.stacks.serving import collector_config
from infra.tests.conftest import Templates, synthesise
from recsys_platform.hub.layout import SOURCES
from recsys_platform.sources.firehose.prefixes import landing_prefixes

COMPONENTS = {
    "identity", "network", "hub", "catalogue", "warehouse", "registry", "orchestration", "serving", "edge", "models", "elastic",
    "notebooks", "images", "delivery", "watching", "parameters",
}  # fmt: skip
SECURE_TRANSPORT = {"Bool": {"aws:SecureTransport": "false"}}
POLICIES_OF_TLS = {
    "AWS::S3::Bucket": ("AWS::S3::BucketPolicy", "Bucket"),
    "AWS::SQS::Queue": ("AWS::SQS::QueuePolicy", "Queues"),
    "AWS::SNS::Topic": ("AWS::SNS::TopicPolicy", "Topics"),
}
KEYS = {
    "AWS::SQS::Queue": "KmsMasterKeyId",
    "AWS::SNS::Topic": "KmsMasterKeyId",
    "AWS::Kinesis::Stream": "StreamEncryption",
    "AWS::RDS::DBInstance": "KmsKeyId",
    "AWS::EFS::FileSystem": "KmsKeyId",
    "AWS::SecretsManager::Secret": "KmsKeyId",  # pragma: allowlist secret
    "AWS::Logs::LogGroup": "KmsKeyId",
    "AWS::ECR::Repository": "EncryptionConfiguration",
    "AWS::ElastiCache::ReplicationGroup": "KmsKeyId",
    "AWS::RedshiftServerless::Namespace": "KmsKeyId",
    "AWS::SageMaker::Domain": "KmsKeyId",
    "AWS::CloudTrail::Trail": "KMSKeyId",
}
"""Where a type names the key of the platform; buckets have a test of their own."""


def statements(document: Any) -> Iterator[dict[str, Any]]:
    yield from document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def allowed_actions(templates: Templates) -> Iterator[tuple[str, str]]:
    """Every action that a role is allowed, with the policy."""
    for name, policy in templates.properties("AWS::IAM::Policy").items():
        for statement in statements(policy["PolicyDocument"]):
            yield from ((name, action) for action in listed(statement["Action"]) if statement["Effect"] == "Allow")
    for name, role in templates.properties("AWS::IAM::Role").items():
        for policy in role.get("Policies", []):
            for statement in statements(policy["PolicyDocument"]):
                yield from ((name, action) for action in listed(statement["Action"]))


def test_every_component_is_a_stack_within_the_limits_of_cloudformation(templates: Templates) -> None:
    assert set(templates.stacks) == COMPONENTS
    for name, template in templates.stacks.items():
        assert len(template["Resources"]) <= 500, name
        assert len(json.dumps(template)) < 1_000_000, name


def test_no_bucket_is_public(templates: Templates) -> None:
    buckets = templates.properties("AWS::S3::Bucket")
    assert len(buckets) == 7
    for name, bucket in buckets.items():
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}, name
        assert len(bucket["PublicAccessBlockConfiguration"]) == 4, name
        assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}, name
        assert any("NoncurrentVersionExpiration" in rule for rule in bucket["LifecycleConfiguration"]["Rules"]), name


@pytest.mark.parametrize("kind", POLICIES_OF_TLS)
def test_requests_without_tls_are_denied(templates: Templates, kind: str) -> None:
    policy_kind, where = POLICIES_OF_TLS[kind]
    guarded = {
        json.dumps(each, sort_keys=True)
        for policy in templates.properties(policy_kind).values()
        if any(
            s["Effect"] == "Deny" and s.get("Condition") == SECURE_TRANSPORT
            for s in statements(policy["PolicyDocument"])
        )
        for each in listed(policy[where])
    }
    assert len(guarded) == len(templates.properties(kind)) > 0


def test_what_listens_speaks_tls(templates: Templates) -> None:
    listeners = templates.properties("AWS::ElasticLoadBalancingV2::Listener")
    assert {each["Protocol"] for each in listeners.values()} == {"HTTPS", "TLS"}
    assert {
        each["SecurityPolicy"].startswith("TLS")
        for each in templates.properties("AWS::ApiGateway::DomainName").values()
    } == {True}
    for name, group in templates.properties("AWS::RDS::DBParameterGroup").items():
        assert group["Parameters"]["rds.force_ssl"] == "1", name
    for name, shared in templates.properties("AWS::ElastiCache::ReplicationGroup").items():
        assert shared["TransitEncryptionMode"] == "required", name
    for name, task in templates.properties("AWS::ECS::TaskDefinition").items():
        for volume in task.get("Volumes", []):
            assert volume["EFSVolumeConfiguration"]["TransitEncryption"] == "ENABLED", name


@pytest.mark.parametrize("kind", KEYS)
def test_what_is_stored_is_encrypted_with_the_platforms_key(templates: Templates, kind: str) -> None:
    found = templates.properties(kind)
    assert found
    assert [name for name, each in found.items() if not each.get(KEYS[kind])] == []


def test_buckets_are_encrypted_with_the_platforms_key_but_for_access_logs(templates: Templates) -> None:
    algorithms = {
        each["BucketName"]: each["BucketEncryption"]["ServerSideEncryptionConfiguration"][0][
            "ServerSideEncryptionByDefault"
        ]
        for each in templates.properties("AWS::S3::Bucket").values()
    }
    others = {name for name, each in algorithms.items() if each["SSEAlgorithm"] != "aws:kms"}
    assert others == {templates.names.bucket("access-logs")}


def test_production_stands_in_several_zones_with_backups(templates: Templates) -> None:
    zones = {each["AvailabilityZone"] for each in templates.properties("AWS::EC2::Subnet").values()}
    assert zones == set(templates.deployment.zones)
    if not templates.deployment.is_production:
        return
    for name, database in templates.properties("AWS::RDS::DBInstance").items():
        assert (database["MultiAZ"], database["DeletionProtection"], database["BackupRetentionPeriod"]) == (
            True,
            True,
            14,
        ), name
    (shared,) = templates.properties("AWS::ElastiCache::ReplicationGroup").values()
    assert (shared["MultiAZEnabled"], shared["AutomaticFailoverEnabled"], shared["NumCacheClusters"]) == (True, True, 3)
    (files,) = templates.properties("AWS::EFS::FileSystem").values()
    assert files["BackupPolicy"] == {"Status": "ENABLED"}
    assert len(templates.properties("AWS::EFS::MountTarget")) == 3
    least = [
        each["MinCapacity"] for each in templates.properties("AWS::ApplicationAutoScaling::ScalableTarget").values()
    ]
    assert min(least) >= 2
    if templates.deployment.size_name != "small":
        assert len(templates.properties("AWS::EC2::NatGateway")) == 3


def test_data_of_production_outlives_its_stack(templates: Templates) -> None:
    stateful = (
        "AWS::S3::Bucket",
        "AWS::RDS::DBInstance",
        "AWS::EFS::FileSystem",
        "AWS::KMS::Key",
        "AWS::Cognito::UserPool",
    )
    policies = {resource["DeletionPolicy"] for kind in stateful for _, resource in templates.of_type(kind)}
    assert policies == ({"Retain"} if templates.deployment.is_production else {"Delete"})


def test_no_role_is_allowed_all_actions_of_anything(templates: Templates) -> None:
    assert [(name, action) for name, action in allowed_actions(templates) if "*" in action] == []


def test_policies_are_those_of_permissions_and_nothing_adds_to_them(templates: Templates) -> None:
    expected = roles(templates.deployment)
    found = {
        policy["PolicyName"].removeprefix(f"{templates.names.base}-"): {
            action for statement in statements(policy["PolicyDocument"]) for action in listed(statement["Action"])
        }
        for name, policy in templates.properties("AWS::IAM::Policy").items()
        if name.startswith("identity/")
    }
    assert found == {
        name: {action for each in role.statements for action in each.actions} for name, role in expected.items()
    }
    own = {role["RoleName"] for role in templates.properties("AWS::IAM::Role").values() if "RoleName" in role}
    made_by_cdk = [name for name, role in templates.properties("AWS::IAM::Role").items() if "RoleName" not in role]
    assert own == {templates.names.of(name) for name in (*expected, "snowflake", "deploy", "diff")}
    assert sorted(name.split("/")[0] for name in made_by_cdk) == ["edge", "watching"]  # API Gateway's logs, the trail's


def test_only_the_environment_of_the_stage_in_the_repository_may_deploy(templates: Templates) -> None:
    (role,) = (
        each
        for each in templates.properties("AWS::IAM::Role").values()
        if each.get("RoleName") == templates.names.of("deploy")
    )
    (statement,) = statements(role["AssumeRolePolicyDocument"])
    subject = statement["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"]
    assert subject == f"repo:{templates.deployment.repository}:environment:{templates.deployment.stage}"


def test_every_role_that_is_named_exists(templates: Templates) -> None:
    text = json.dumps(templates.stacks)
    roots = {templates.names.role_arn(name): name for name in roles(templates.deployment)}
    start = templates.names.role_arn("")
    used = {start + rest.replace("'", '"').split('"')[0] for rest in text.split(start)[1:]}
    assert used <= set(roots)


def test_images_and_log_groups_that_are_named_exist(templates: Templates) -> None:
    repositories = {each["RepositoryName"] for each in templates.properties("AWS::ECR::Repository").values()}
    assert repositories == {templates.names.of(each) for each in ("dagster", "gateway", "model-host", "mlflow")}
    groups = {_text_of(each["LogGroupName"]) for each in templates.properties("AWS::Logs::LogGroup").values()}
    allowed = {
        resource.split(":log-group:")[1].removesuffix(":*")
        for role in roles(templates.deployment).values()
        for statement in role.statements
        for resource in statement.resources
        if ":log-group:/recsys" in resource
    }
    assert allowed <= groups


def test_a_process_has_its_secrets_from_secrets_manager_alone(templates: Templates) -> None:
    for name, task in templates.properties("AWS::ECS::TaskDefinition").items():
        for container in task["ContainerDefinitions"]:
            secret = [each["Name"] for each in container.get("Environment", []) if "PASSWORD" in each["Name"]]
            assert secret == [], name


def test_a_deployment_does_not_change_how_many_tasks_follow_the_load(templates: Templates) -> None:
    """A number in the template would take a service at its peak back to its least at every release."""
    services = templates.properties("AWS::ECS::Service").values()
    scaled = [each for each in services if each["ServiceName"] == templates.names.of("gateway")]
    assert len(scaled) == 1
    assert "DesiredCount" not in scaled[0]
    targets = templates.properties("AWS::ApplicationAutoScaling::ScalableTarget").values()
    assert sum(each["ServiceNamespace"] == "ecs" for each in targets) == len(scaled)


def test_a_collector_that_ends_is_started_again(templates: Templates) -> None:
    tasks = templates.properties("AWS::ECS::TaskDefinition").values()
    collectors = [each for task in tasks for each in task["ContainerDefinitions"] if each["Name"] == "collector"]
    assert [each["RestartPolicy"]["Enabled"] for each in collectors] == [True]


def test_there_is_exactly_one_daemon_even_during_a_deployment(templates: Templates) -> None:
    services = {each["ServiceName"]: each for each in templates.properties("AWS::ECS::Service").values()}
    daemon = services[templates.names.of("daemon")]
    assert daemon["DesiredCount"] == 1
    assert daemon["DeploymentConfiguration"]["MaximumPercent"] == 100
    assert daemon["DeploymentConfiguration"]["MinimumHealthyPercent"] == 0
    assert {each["DeploymentConfiguration"]["DeploymentCircuitBreaker"]["Rollback"] for each in services.values()} == {
        True
    }


def test_a_health_check_is_that_of_the_image_and_has_the_time_it_needs(templates: Templates) -> None:
    found = {}
    for task in templates.properties("AWS::ECS::TaskDefinition").values():
        for container in task["ContainerDefinitions"]:
            if check := container.get("HealthCheck"):
                found[container["Name"]] = HealthCheck(tuple(check["Command"][1:]), check["Interval"], check["Timeout"])
    assert found == {name: check for name, check in HEALTH_CHECKS.items() if name != "model-host"}


def test_dagsters_ui_asks_for_a_sign_in(templates: Templates) -> None:
    actions = [
        action["Type"]
        for each in templates.properties("AWS::ElasticLoadBalancingV2::Listener").values()
        if each["Protocol"] == "HTTPS"
        for action in sorted(each["DefaultActions"], key=lambda action: action["Order"])
    ]
    assert actions == ["authenticate-cognito", "forward"]
    pools = {each["UserPoolName"]: each for each in templates.properties("AWS::Cognito::UserPool").values()}
    pool = pools[templates.names.of("people")]
    assert pool["MfaConfiguration"] == "ON"
    assert pool["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}


def test_parameters_are_named_as_the_settings_are(templates: Templates) -> None:
    found = {each["Name"] for each in templates.properties("AWS::SSM::Parameter").values()}
    names = {*parameters(templates.deployment), *KNOWN_ON_DEPLOYMENT}
    assert found == {f"{templates.names.parameters}/{name}" for name in names}


def test_firehose_lands_objects_where_the_platform_looks_for_them(templates: Templates) -> None:
    streams = {
        each["DeliveryStreamName"]: each
        for each in templates.properties("AWS::KinesisFirehose::DeliveryStream").values()
    }
    assert len(streams) == len(SOURCES)
    root = parameters(templates.deployment)["hub"].removeprefix(f"s3://{templates.names.bucket('hub')}/")
    for source in SOURCES:
        target = streams[templates.names.of(f"landing-{source}")]["ExtendedS3DestinationConfiguration"]
        prefix, errors = landing_prefixes(source)
        assert (target["Prefix"], target["ErrorOutputPrefix"]) == (f"{root}/{prefix}", f"{root}/{errors}")
        assert target["CompressionFormat"] == "GZIP"
        assert [each["Type"] for each in target["ProcessingConfiguration"]["Processors"]] == ["AppendDelimiterToRecord"]


def test_new_landing_objects_are_told_to_the_queue(templates: Templates) -> None:
    (hub,) = (
        each
        for each in templates.properties("AWS::S3::Bucket").values()
        if each["BucketName"] == templates.names.bucket("hub")
    )
    (rule,) = hub["NotificationConfiguration"]["TopicConfigurations"]
    assert rule["Event"] == "s3:ObjectCreated:*"
    assert rule["Filter"]["S3Key"]["Rules"] == [{"Name": "prefix", "Value": "hub/engagement_events/"}]
    queues = {each["QueueName"]: each for each in templates.properties("AWS::SQS::Queue").values()}
    assert queues[templates.names.of("landing")]["RedrivePolicy"]["maxReceiveCount"] == 100
    assert parameters(templates.deployment)["landing_queue"].endswith(templates.names.of("landing"))


def test_every_alarm_has_an_owner_a_runbook_and_somebody_to_tell(templates: Templates) -> None:
    found = {each["AlarmName"]: each for each in templates.properties("AWS::CloudWatch::Alarm").values()}
    for alarm in alarms(templates.deployment):
        made = found[templates.names.of(alarm.name)]
        assert f"owner: {alarm.owner}" in made["AlarmDescription"]
        assert made["AlarmDescription"].endswith(f"docs/runbook.md#{alarm.name}")
        assert made["AlarmActions"]
    assert len(found) == len(alarms(templates.deployment))


def test_every_log_group_is_encrypted_and_ends_also_those_that_services_of_aws_write_to(templates: Templates) -> None:
    groups = {_text_of(each["LogGroupName"]): each for each in templates.properties("AWS::Logs::LogGroup").values()}
    days = 90 if templates.deployment.is_production else 30
    assert all(0 < each["RetentionInDays"] <= days and each["KmsKeyId"] for each in groups.values())
    assert {
        f"/aws/sagemaker/Endpoints/{templates.names.endpoint}",
        f"/aws/ecs/containerinsights/{templates.names.of('platform')}/performance",
        f"/aws/rds/instance/{templates.names.of('dagster')}/postgresql",
        templates.names.log_group("code-server"),
        templates.names.log_group("metrics"),
        "API-Gateway-Execution-Logs_/live",
    } <= groups.keys()


def _text_of(name: Any) -> str:
    """A name, without what CloudFormation joins to it."""
    return name if isinstance(name, str) else "".join(each for each in name["Fn::Join"][1] if isinstance(each, str))


def test_alarms_and_the_dashboard_name_metrics_by_all_of_their_dimensions(templates: Templates) -> None:
    found = {each["AlarmName"]: each for each in templates.properties("AWS::CloudWatch::Alarm").values()}
    for alarm in (each for each in alarms(templates.deployment) if each.percent_of is None):
        made = found[templates.names.of(alarm.name)]
        dimensions = {each["Name"]: each["Value"] for each in made["Dimensions"]}
        assert dimensions == metric_dimensions(alarm, templates.names), alarm.name
        assert (made["Namespace"], made["MetricName"], made["Threshold"]) == (
            alarm.namespace,
            alarm.metric,
            alarm.limit,
        )
    (board,) = templates.properties("AWS::CloudWatch::Dashboard").values()
    body = json.dumps(board["DashboardBody"])
    assert {name for _, name, _ in unwatched_metrics() if name not in body} == set()


def test_the_collector_beside_a_gateway_sends_counters_from_their_first_value(templates: Templates) -> None:
    (task,) = (
        each
        for each in templates.properties("AWS::ECS::TaskDefinition").values()
        if each["Family"] == templates.names.of("gateway")
    )
    collector = next(each for each in task["ContainerDefinitions"] if each["Name"] == "collector")
    config = json.loads(collector["Environment"][0]["Value"])
    assert config == collector_config(templates.names.base, templates.names.log_group("metrics"))
    assert config["exporters"]["awsemf"]["retain_initial_value_of_delta_metric"] is True


def test_alarms_that_roll_a_model_back_exist(templates: Templates) -> None:
    (endpoint,) = templates.properties("AWS::SageMaker::Endpoint").values()
    names = {each["AlarmName"] for each in endpoint["DeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]}
    assert names <= {each["AlarmName"] for each in templates.properties("AWS::CloudWatch::Alarm").values()}
    routing = endpoint["DeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert routing["Type"] == "CANARY"


def test_the_trail_records_calls_of_management_and_of_landing_objects(templates: Templates) -> None:
    (trail,) = templates.properties("AWS::CloudTrail::Trail").values()
    (selector,) = trail["EventSelectors"]
    assert (selector["IncludeManagementEvents"], selector.get("ReadWriteType", "All")) == (True, "All")
    assert "hub/engagement_events/" in json.dumps(selector["DataResources"])


def test_usage_plans_have_the_limits_of_the_gateway(templates: Templates) -> None:
    plans = {
        each["UsagePlanName"].removeprefix(f"{templates.names.base}-"): each
        for each in templates.properties("AWS::ApiGateway::UsagePlan").values()
    }
    assert {
        name: (each["Throttle"]["RateLimit"], each["Throttle"]["BurstLimit"]) for name, each in plans.items()
    } == API_LIMITS


def test_every_request_but_the_open_ones_needs_a_key_and_passes_the_authoriser(templates: Templates) -> None:
    methods = templates.properties("AWS::ApiGateway::Method").values()
    closed = [each for each in methods if each["AuthorizationType"] == "CUSTOM"]
    assert {each["ApiKeyRequired"] for each in closed} == {True}
    is_open = [each for each in methods if each not in closed and each["HttpMethod"] != "OPTIONS"]
    assert sorted(each["Integration"]["Uri"].rpartition("/")[2] for each in is_open) == ["docs", "openapi.json"]
    assert {each["Integration"]["ConnectionType"] for each in methods} == {"VPC_LINK"}


def test_the_firewall_lets_batches_of_events_through(templates: Templates) -> None:
    (wall,) = templates.properties("AWS::WAFv2::WebACL").values()
    common = next(each for each in wall["Rules"] if each["Name"] == "AWSManagedRulesCommonRuleSet")
    overrides = common["Statement"]["ManagedRuleGroupStatement"]["RuleActionOverrides"]
    assert {each["Name"] for each in overrides if each["ActionToUse"] == {"Count": {}}} >= {"SizeRestrictions_BODY"}


def test_costs_are_found_by_tags_and_watched(templates: Templates) -> None:
    tagged = (
        "AWS::S3::Bucket",
        "AWS::RDS::DBInstance",
        "AWS::ECS::Service",
        "AWS::Kinesis::Stream",
        "AWS::ElastiCache::ReplicationGroup",
        "AWS::EC2::NatGateway",
        "AWS::EFS::FileSystem",
        "AWS::SageMaker::Endpoint",
    )
    for kind in tagged:
        for name, resource in templates.properties(kind).items():
            tags = {each["Key"]: each["Value"] for each in resource.get("Tags") or resource.get("FileSystemTags") or []}
            assert tags["recsys:stage"] == templates.deployment.stage, name
            assert tags["recsys:size"] == templates.deployment.size_name, name
            assert tags["recsys:component"] in COMPONENTS, name
    (budget,) = templates.properties("AWS::Budgets::Budget").values()
    assert budget["Budget"]["BudgetLimit"]["Amount"] == templates.deployment.size.aws_budget


def test_nothing_is_open_to_the_world_but_https_of_the_api(templates: Templates) -> None:
    for name, group in templates.properties("AWS::EC2::SecurityGroup").items():
        ranges = [each.get("CidrIp") for each in group.get("SecurityGroupIngress", [])]
        assert "0.0.0.0/0" not in ranges, name
    assert {each["Scheme"] for each in templates.properties("AWS::ElasticLoadBalancingV2::LoadBalancer").values()} == {
        "internal",
        "internet-facing",
    }
    assert {each["PubliclyAccessible"] for each in templates.properties("AWS::RDS::DBInstance").values()} == {False}


def test_an_unexplained_finding_stops_the_synthesis(tmp_path: Path) -> None:
    app = new_app(str(tmp_path))
    s3.Bucket(Stack(app, "careless"), "bucket")
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()


def test_the_same_choices_give_the_same_templates(tmp_path: Path) -> None:
    first, second = (synthesise(Deployment("dev", "small"), tmp_path / name) for name in ("first", "second"))
    assert first.stacks == second.stacks


def containers_of(templates: Templates, process: str) -> dict[str, Any]:
    tasks = templates.properties("AWS::ECS::TaskDefinition").values()
    (task,) = (each for each in tasks if each["Family"] == templates.names.of(process))
    return {each["Name"]: each for each in task["ContainerDefinitions"]}


@pytest.mark.parametrize(
    ("process", "command"),
    [("code-server", ["recsys", "migrate"]), ("mlflow", ["mlflow", "db", "upgrade", "postgresql+psycopg2://"])],
)
def test_tables_are_migrated_by_the_image_that_reads_them_before_it_starts(
    templates: Templates, process: str, command: list[str]
) -> None:
    containers = containers_of(templates, process)
    migration, own = containers["migrate"], containers[process]
    assert [*migration.get("EntryPoint", []), *migration["Command"]] == command
    assert (migration["Essential"], own["Essential"]) == (False, True)
    assert own["DependsOn"] == [{"Condition": "SUCCESS", "ContainerName": "migrate"}]
    assert json.dumps(migration["Image"]) == json.dumps(own["Image"])
    assert [each["Name"] for each in migration["Secrets"]] == [each["Name"] for each in own["Secrets"]]


def test_daemon_and_web_server_wait_for_the_code_server_of_their_release(templates: Templates) -> None:
    services = {
        each["Properties"]["ServiceName"]: (name, each) for name, each in templates.of_type("AWS::ECS::Service")
    }
    code_server = services[templates.names.of("code-server")][0].partition("/")[2]
    for name in ("daemon", "web-server"):
        assert code_server in services[templates.names.of(name)][1]["DependsOn"]


def test_gateways_are_replaced_blue_green_and_alarms_lead_requests_back(templates: Templates) -> None:
    services = {each["ServiceName"]: each for each in templates.properties("AWS::ECS::Service").values()}
    gateway = services[templates.names.of("gateway")]
    deployment = gateway["DeploymentConfiguration"]
    assert (deployment["Strategy"], deployment["BakeTimeInMinutes"]) == ("BLUE_GREEN", 25)
    watched = deployment["Alarms"]
    assert (watched["Enable"], watched["Rollback"]) == (True, True)
    ring = {templates.names.of(alarm.name): alarm.minutes * alarm.periods for alarm in alarms(templates.deployment)}
    assert set(watched["AlarmNames"]) <= set(ring)
    margin = 10  # a period begins with the clock, and a metric arrives minutes late
    assert max(ring[each] for each in watched["AlarmNames"]) + margin <= deployment["BakeTimeInMinutes"]
    (balanced,) = gateway["LoadBalancers"]
    groups = {balanced["TargetGroupArn"]["Ref"], balanced["AdvancedConfiguration"]["AlternateTargetGroupArn"]["Ref"]}
    found = templates.properties("AWS::ElasticLoadBalancingV2::TargetGroup")
    assert {found[f"serving/{each}"]["HealthCheckPath"] for each in groups} == {"/readyz"}
    assert len(groups) == 2
    role = balanced["AdvancedConfiguration"]["RoleArn"]
    assert role == templates.names.role_arn("load-balancing")


def test_reports_are_read_after_the_same_sign_in_by_a_process_that_reads_their_bucket_alone(
    templates: Templates,
) -> None:
    (rule,) = templates.properties("AWS::ElasticLoadBalancingV2::ListenerRule").values()
    kinds = [each["Type"] for each in sorted(rule["Actions"], key=lambda each: each["Order"])]
    assert kinds == ["authenticate-cognito", "forward"]
    host = templates.names.host("reports")
    assert rule["Conditions"][0]["HostHeaderConfig"]["Values"] == [host]
    clients = templates.properties("AWS::Cognito::UserPoolClient").values()
    assert any(f"https://{host}/oauth2/idpresponse" in each.get("CallbackURLs", []) for each in clients)
    own = containers_of(templates, "reports")["reports"]
    assert {each["Name"]: each["Value"] for each in own["Environment"]} == {
        "RECSYS_SITE": parameters(templates.deployment)["site"]
    }
    assert "Secrets" not in own


def test_the_endpoint_has_the_same_variants_with_and_without_a_challenger(templates: Templates) -> None:
    """A blue/green update of SageMaker refuses another set of variants."""
    models = templates.stacks["models"]["Resources"]
    [config] = [each for each in models.values() if each["Type"] == "AWS::SageMaker::EndpointConfig"]
    variants = config["Properties"]["ProductionVariants"]
    assert [(each["VariantName"], each["InitialVariantWeight"]) for each in variants] == [
        ("champion", 1),
        ("challenger", 0),
    ]
    endpoint = [each for each in models.values() if each["Type"].startswith("AWS::SageMaker::Endpoint")]
    assert {each["Condition"] for each in endpoint} == {"HasChampion"}
    [kept] = templates.properties("AWS::SageMaker::Endpoint").values()
    assert kept[
        "RetainAllVariantProperties"
    ]  # the number of hosts that scaling has made, but not the shares of requests
    assert kept["ExcludeRetainedVariantProperties"] == [{"VariantPropertyType": "DesiredWeight"}]
    hosted = variants[1]["ModelName"]["Fn::If"]
    assert [hosted[0], *(each["Fn::GetAtt"][0] for each in hosted[1:])] == [
        "HasChallenger",
        "challengermodel",
        "championmodel",
    ]


@pytest.mark.parametrize(("days", "moved_after"), [(30, []), (90, [60]), (365, [60]), (1_825, [60, 365])])
def test_what_is_deleted_early_is_not_moved_to_a_cheaper_class_before(
    days: int, moved_after: list[int], tmp_path: Path
) -> None:
    """S3 refuses a rule that moves what is deleted by then."""
    app = new_app(str(tmp_path))
    deployment = Deployment("prod", "small", keep_landing_days=days)
    Hub(app, deployment, Identity(app, deployment).key)
    template = app.synth().get_stack_by_name("recsys-prod-hub").template
    buckets = [each["Properties"] for each in template["Resources"].values() if each["Type"] == "AWS::S3::Bucket"]
    rules = [rule for each in buckets for rule in each["LifecycleConfiguration"]["Rules"]]
    [landing] = [each for each in rules if str(each.get("Prefix")).endswith("engagement_events/")]
    assert landing["ExpirationInDays"] == days
    assert [each["TransitionInDays"] for each in landing.get("Transitions", [])] == moved_after


def test_services_that_do_not_tell_their_account_may_use_the_key(templates: Templates) -> None:
    """EventBridge publishes messages of broken rules to an encrypted topic, and tells the key no account."""
    [key] = templates.properties("AWS::KMS::Key").values()
    of = {str(each["Principal"].get("Service")): each.get("Condition") for each in statements(key["KeyPolicy"])}
    assert of["events.amazonaws.com"] is None
    assert all(each for service, each in of.items() if service not in ("events.amazonaws.com", "None"))


def test_redshift_reaches_the_catalogue_from_subnets_without_a_way_out(templates: Templates) -> None:
    names = [_text_of(each["ServiceName"]) for each in templates.properties("AWS::EC2::VPCEndpoint").values()]
    assert any(each.endswith(".glue") for each in names)
    [role] = [
        each
        for each in templates.properties("AWS::IAM::Role").values()
        if each.get("RoleName") == templates.names.of("redshift")
    ]
    trusted = {
        service
        for each in statements(role["AssumeRolePolicyDocument"])
        for service in listed(each["Principal"]["Service"])
    }
    assert trusted == {"redshift.amazonaws.com", "redshift-serverless.amazonaws.com"}


def test_the_log_of_the_trails_bucket_may_be_written(templates: Templates) -> None:
    policies = templates.properties("AWS::S3::BucketPolicy").values()
    sources = [
        each["Condition"]["ArnLike"]["aws:SourceArn"]
        for policy in policies
        for each in statements(policy["PolicyDocument"])
        if each["Principal"] == {"Service": "logging.s3.amazonaws.com"} and "ArnLike" in each["Condition"]
    ]
    assert templates.names.bucket_arn("trail") in map(str, sources)


def test_readers_can_sign_in_and_are_readers(templates: Templates) -> None:
    """Nobody puts those who sign up into a group, so that the settings say what all of them are."""
    domains = templates.properties("AWS::Cognito::UserPoolDomain").values()
    assert len({json.dumps(each["UserPoolId"]) for each in domains}) == 2
    assert parameters(templates.deployment)["oidc_default_role"] == "reader"
