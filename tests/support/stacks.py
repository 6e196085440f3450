"""The stacks of infra/ on the server that stands for AWS, as far as its CloudFormation goes.

What it leaves out is stated here and in docs/deployment.md; what a day of the platform needs of that is made by requests instead, from
the same properties of the templates.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.deployment import Deployment
from infra.names import Names

ROOT = Path(__file__).parents[2]
DEPLOYMENT = Deployment("prod", "small")
NAMES = Names(DEPLOYMENT)
STACKS = (
    "identity",
    "hub",
    "network",
    "images",
    "delivery",
    "catalogue",
    "warehouse",
    "registry",
    "orchestration",
    "serving",
    "edge",
    "elastic",
    "notebooks",
    "models",
    "watching",
    "parameters",
)
"""In an order in which each finds what it imports."""
LEFT_OUT = frozenset(
    f"AWS::{kind}"
    for kind in (
        "ApiGateway::Account",
        "ApiGateway::Authorizer",
        "ApiGateway::BasePathMapping",
        "ApiGateway::DomainName",
        "ApiGateway::RequestValidator",
        "ApiGateway::Stage",
        "ApiGateway::UsagePlan",
        "ApiGateway::VpcLink",
        "ApplicationAutoScaling::ScalableTarget",
        "ApplicationAutoScaling::ScalingPolicy",
        "Athena::WorkGroup",
        "Budgets::Budget",
        "CE::AnomalyMonitor",
        "CE::AnomalySubscription",
        "CertificateManager::Certificate",
        "CloudFront::CachePolicy",
        "CloudFront::Distribution",
        "CloudFront::Function",
        "CloudFront::OriginAccessControl",
        "CloudFront::ResponseHeadersPolicy",
        "CloudTrail::Trail",
        "CloudWatch::Alarm",
        "Cognito::UserPool",
        "Cognito::UserPoolClient",
        "Cognito::UserPoolDomain",
        "Cognito::UserPoolGroup",
        "Config::ConfigRule",
        "ECS::ClusterCapacityProviderAssociations",
        "EMRServerless::Application",
        "ElastiCache::ParameterGroup",
        "ElastiCache::ReplicationGroup",
        "ElastiCache::SubnetGroup",
        "ElastiCache::User",
        "ElastiCache::UserGroup",
        "ElasticLoadBalancingV2::Listener",
        "ElasticLoadBalancingV2::ListenerRule",
        "Glue::Crawler",
        "Glue::Database",
        "Glue::SecurityConfiguration",
        "IAM::OIDCProvider",
        "KinesisFirehose::DeliveryStream",
        "Logs::LogStream",
        "RedshiftServerless::Namespace",
        "RedshiftServerless::Workgroup",
        "Route53::RecordSet",
        "S3::BucketPolicy",
        "SNS::Subscription",
        "SNS::TopicPolicy",
        "SQS::QueuePolicy",
        "SageMaker::Domain",
        "SageMaker::StudioLifecycleConfig",
        "SecretsManager::Secret",
        "SecretsManager::SecretTargetAttachment",
        "ServiceDiscovery::PrivateDnsNamespace",
        "ServiceDiscovery::Service",
        "WAFv2::WebACL",
        "WAFv2::WebACLAssociation",
    )
)
"""Types that its CloudFormation does not know."""
PROPERTIES_LEFT_OUT = {
    "AWS::KMS::Key": "Tags",
    "AWS::SSM::Parameter": "Tags",
    "AWS::RDS::DBInstance": "DBParameterGroupName",
}
"""Properties that it cannot read."""
Template = dict[str, Any]


def templates(folder: Path) -> dict[str, Template]:
    """The templates by stack: those of `make infra`, or made here if they are older than the code. Skips where that is impossible."""
    made = ROOT / "infra" / "cdk.out" / "prod-small"
    if not _is_newer(made):
        made = _synthesised(folder)
    return {name: json.loads((made / f"{NAMES.of(name)}.template.json").read_text()) for name in STACKS}


def _is_newer(made: Path) -> bool:
    code = max(file.stat().st_mtime for file in (ROOT / "infra").rglob("*.py") if ".venv" not in file.parts)
    return all((made / f"{NAMES.of(name)}.template.json").exists() for name in STACKS) and made.stat().st_mtime > code


def _synthesised(folder: Path) -> Path:
    python = ROOT / "infra" / ".venv" / "bin" / "python"
    if not shutil.which("node") or not python.exists():
        pytest.skip(
            "The templates for AWS need Node and infra/.venv: `make infra` makes both them and its environment."
        )
    context = json.dumps({"stage": DEPLOYMENT.stage, "size": DEPLOYMENT.size_name})
    made = {"CDK_OUTDIR": str(folder), "CDK_CONTEXT_JSON": context, "PYTHONPATH": str(ROOT)}
    quiet = {"JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1", "JSII_SILENCE_WARNING_DEPRECATED_NODE_VERSION": "1"}
    subprocess.run([python, "-P", "-m", "infra.app"], check=True, env=os.environ | made | quiet, cwd=ROOT)
    return folder


def deploy(given: Mapping[str, Template]) -> Iterator[tuple[str, set[str], set[str]]]:
    """Create the stacks; of each its name, the resources that should be there, and those that are."""
    boto3.client("ssm").put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="21", Type="String")
    client = boto3.client("cloudformation")
    for name, template in given.items():
        known = _known_part(template)
        client.create_stack(
            StackName=NAMES.of(name), TemplateBody=json.dumps(known), Capabilities=["CAPABILITY_NAMED_IAM"]
        )
        pages = client.get_paginator("list_stack_resources").paginate(StackName=NAMES.of(name))
        there = {each["LogicalResourceId"] for page in pages for each in page["StackResourceSummaries"]}
        yield name, {key for key, each in known["Resources"].items() if "Condition" not in each}, there


def _known_part(template: Template) -> Template:
    resources = template["Resources"]
    gone = {name for name, each in resources.items() if each["Type"] in LEFT_OUT}
    known: Template = _without(template, gone)
    for name in gone:
        del known["Resources"][name]
    for each in known["Resources"].values():
        each.get("Properties", {}).pop(PROPERTIES_LEFT_OUT.get(each["Type"]), None)
    return known


def _without(value: Any, gone: set[str]) -> Any:
    """A part of a template in which resources that are left out have made-up names."""
    if isinstance(value, dict):
        named = value.get("Ref") if set(value) == {"Ref"} else (value.get("Fn::GetAtt") or [None])[0]
        if named in gone:
            return f"left-out-{named}"
        return {key: _without(each, gone) for key, each in value.items()}
    if isinstance(value, list):
        return [_without(each, gone) for each in value if not (isinstance(each, str) and each in gone)]
    return value


def of_type(template: Template, kind: str) -> list[dict[str, Any]]:
    """The properties of the resources of a type."""
    return [each.get("Properties", {}) for each in template["Resources"].values() if each["Type"] == f"AWS::{kind}"]


def add_what_a_day_needs(given: Mapping[str, Template]) -> None:
    """Glue databases, the queue's subscription and the bucket's notification, by requests."""
    for each in of_type(given["catalogue"], "Glue::Database"):
        boto3.client("glue").create_database(DatabaseInput={"Name": each["DatabaseInput"]["Name"]})
    topic, queue = NAMES.arn("sns", NAMES.of("new-objects")), NAMES.arn("sqs", NAMES.of("landing"))
    [subscription] = of_type(given["hub"], "SNS::Subscription")
    raw = str(subscription["RawMessageDelivery"]).lower()
    attributes = {"RawMessageDelivery": raw}
    boto3.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes=attributes)
    [hub] = [each for each in of_type(given["hub"], "S3::Bucket") if each["BucketName"] == NAMES.bucket("hub")]
    [told] = hub["NotificationConfiguration"]["TopicConfigurations"]
    [rule] = told["Filter"]["S3Key"]["Rules"]
    key = {"FilterRules": [{"Name": rule["Name"], "Value": rule["Value"]}]}
    configuration = {"TopicArn": topic, "Events": [told["Event"]], "Filter": {"Key": key}}
    boto3.client("s3").put_bucket_notification_configuration(
        Bucket=NAMES.bucket("hub"), NotificationConfiguration={"TopicConfigurations": [configuration]}
    )


def put_secrets(values: Mapping[str, str]) -> None:
    """The secrets of the Dagster processes and of the gateway, with values that a person puts there."""
    for name in ("platform", "gateway"):
        boto3.client("secretsmanager").create_secret(Name=NAMES.secret(name), SecretString=json.dumps(values))


def role_variables(process: str) -> dict[str, str]:
    """The variables of a process that has assumed its role."""
    given = boto3.client("sts").assume_role(RoleArn=NAMES.role_arn(process), RoleSessionName="day")["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
    }
