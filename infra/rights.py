"""Whether the policies of permissions.py suffice and no more.

Belongs here: which rights a request to AWS needs, which statement allows them, the report. Does not: recording requests, which tests
do (tests/support/aws_rights.py). `python -m infra.rights` prints for each process what it may do and which test or reason that has.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.deployment import Deployment
from infra.names import DATA_KEY
from infra.permissions import Role, Statement, delivery_statements, roles, snowflake_statements

RECORD = Path(__file__).with_name("aws_calls.json")
"""What every process was seen to do in the tests."""
Parameter = Callable[[str], Any]
Used = Mapping[str, Iterable[str]]

_SAME_RIGHT = {
    "s3:HeadBucket": "s3:ListBucket",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:SendMessageBatch": "sqs:SendMessage",
}
"""Actions by operations, where their names differ."""
_KEY_RIGHTS = {
    "s3:GetObject": ("kms:Decrypt",),
    "s3:PutObject": ("kms:GenerateDataKey",),
    "sqs:ReceiveMessage": ("kms:Decrypt",),
    "sns:Publish": ("kms:GenerateDataKey", "kms:Decrypt"),
    "kinesis:PutRecords": ("kms:GenerateDataKey",),
    "kinesis:GetRecords": ("kms:Decrypt",),
    "secretsmanager:GetSecretValue": ("kms:Decrypt",),
    "secretsmanager:PutSecretValue": ("kms:GenerateDataKey", "kms:Decrypt"),
    "secretsmanager:CreateSecret": ("kms:GenerateDataKey", "kms:Decrypt"),
}
"""Rights on the key that AWS asks the caller for, since whatever they act on is encrypted with it."""
_RESOURCES = {
    "firehose": ("deliverystream/{DeliveryStreamName}",),
    "glue": ("catalog", "database/{DatabaseName}", "table/{DatabaseName}/*"),
    "kinesis": ("stream/{StreamName}",),
    "logs": ("log-group:{logGroupName}:log-stream:{logStreamName}",),
    "sagemaker": ("endpoint/{EndpointName}",),
}
"""ARNs of what a request acts on, after region and account, by service."""


@dataclass(frozen=True)
class Right:
    """An action on a resource, with the keys of its context that conditions ask for."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """As a sentence shows it."""
        return f"{self.action} on {self.resource}"


@dataclass(frozen=True)
class Request:
    """A request to AWS: the service and operation as IAM calls them, and a function that gives its parameters by name."""

    service: str
    operation: str
    parameter: Parameter
    place: str
    """Region and account, as ARNs have them: `eu-central-1:111111111111`."""

    @property
    def action(self) -> str:
        """The action that allows it."""
        named = f"{self.service}:{self.operation}"
        return _SAME_RIGHT.get(named, named)

    def arn(self, resource: str) -> str:
        """The ARN of a resource of the service in this region and account."""
        return f"arn:aws:{self.service}:{self.place}:{resource}"


def rights(request: Request) -> Iterator[Right]:
    """The rights that a request needs, those on the key included."""
    found = _ECS[request.operation](request) if request.service == "ecs" else _plain_rights(request)
    yield from found
    for action in _KEY_RIGHTS.get(request.action, ()):
        yield Right(action, DATA_KEY)
    if request.service == "s3" and request.parameter("uploadId"):
        yield Right("kms:Decrypt", DATA_KEY)  # parts are put together again


def _plain_rights(request: Request) -> Iterator[Right]:
    namespace = request.parameter("Namespace") if request.service == "cloudwatch" else None
    context = {"cloudwatch:namespace": namespace} if namespace else {}
    for resource in _resources(request):
        yield Right(request.action, resource, context)


def _resources(request: Request) -> Iterator[str]:
    given = request.parameter
    if request.service == "s3":
        yield str(given("arn"))
    elif request.service == "sns":
        yield str(given("TopicArn"))
    elif request.service == "sqs":
        yield request.arn(str(given("QueueUrl")).rpartition("/")[2])
    elif request.service == "ssm":
        name = str(given("Name") or given("Path"))
        yield request.arn(f"parameter{name.partition(':')[0]}")  # behind the colon is a version, which has no ARN
    elif request.service == "secretsmanager":
        yield request.arn(f"secret:{given('SecretId') or given('Name')}-AbCdEf")
    elif request.service in _RESOURCES:
        for form in _RESOURCES[request.service]:
            yield request.arn(re.sub(r"{(\w+)}", lambda name: str(_named(given, name[1])), form))
    else:
        yield "*"


def _named(given: Parameter, name: str) -> Any:
    """A parameter. A request of Glue for a database has its name elsewhere; one for records of a stream may have its ARN alone."""
    if name == "DatabaseName":
        return given(name) or given("Name") or (given("DatabaseInput") or {}).get("Name")
    return given(name) or (_last_part(given("StreamARN")) if name == "StreamName" else None)


def _run_task(request: Request) -> Iterator[Right]:
    """Starting a task needs the right to tag it, and to hand over the two roles of its definition."""
    given = request.parameter
    definition = str(given("taskDefinition")).rpartition("/")[2]
    family, _, revision = definition.partition(":")
    yield Right("ecs:RunTask", request.arn(f"task-definition/{family}:{revision or 1}"))
    yield Right("ecs:TagResource", request.arn(f"task/{_last_part(given('cluster'))}/new"))
    base = family.rpartition("-")[0]
    for role in (family, f"{base}-execution"):
        account = request.place.rpartition(":")[2]
        context = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
        yield Right("iam:PassRole", f"arn:aws:iam::{account}:role/{role}", context)


def _on_tasks(request: Request) -> Iterator[Right]:
    given = request.parameter
    for task in given("tasks") or [given("task")]:
        yield Right(request.action, request.arn(f"task/{_last_part(given('cluster'))}/{_last_part(task)}"))


def _on_services(request: Request) -> Iterator[Right]:
    given = request.parameter
    for service in given("services"):
        yield Right(request.action, request.arn(f"service/{_last_part(given('cluster'))}/{_last_part(service)}"))


def _last_part(name: Any) -> str:
    return str(name).rpartition("/")[2]


_ECS: Mapping[str, Callable[[Request], Iterator[Right]]] = {
    "RunTask": _run_task,
    "DescribeTasks": _on_tasks,
    "StopTask": _on_tasks,
    "DescribeServices": _on_services,
    "DescribeTaskDefinition": _plain_rights,
}


def allowing(statements: Iterable[Mapping[str, Any]], right: Right) -> str | None:
    """Of the statements of a policy the action and resource that allow a right; None if none does.

    Raises ValueError for what our policies do not have and this evaluation does not know, such as `Deny`.
    """
    for statement in statements:
        if set(statement) - {"Sid", "Effect", "Action", "Resource", "Condition"} or statement["Effect"] != "Allow":
            raise ValueError(f"Cannot evaluate the statement {json.dumps(statement)}: only Allow, Action and Resource.")
        if any(_matches(each.lower(), right.action.lower()) for each in _listed(statement["Action"])):
            found = [each for each in _listed(statement["Resource"]) if _matches(each, right.resource)]
            if found and _holds(statement.get("Condition", {}), right.context):
                return f"{right.action} {found[0]}"
    return None


def _listed(given: str | list[str]) -> list[str]:
    return [given] if isinstance(given, str) else given


def _matches(pattern: str, text: str) -> bool:
    """Whether a text is meant by a pattern of IAM, in which `*` stands for any characters and `?` for one."""
    return bool(re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), text, re.DOTALL))


def _holds(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    if set(conditions) - {"StringEquals", "Bool"}:
        raise ValueError(f"Cannot evaluate the conditions {', '.join(conditions)}: only StringEquals and Bool.")
    return all(context.get(key) in _listed(value) for each in conditions.values() for key, value in each.items())


def all_roles(deployment: Deployment) -> dict[str, Role]:
    """The roles of processes, and those that Snowflake and deployments assume."""
    outside = {
        "snowflake": Role("snowflake", snowflake_statements(deployment), unseen="Snowflake itself assumes the role"),
        "deploy": Role("github", delivery_statements(deployment), unseen="a workflow assumes it"),
    }
    return {**roles(deployment), **outside}


def allowed_pairs(statement: Statement) -> list[str]:
    """Each action of a statement on each of its resources."""
    return [f"{action} {resource}" for action in statement.actions for resource in statement.resources]


@dataclass(frozen=True)
class Finding:
    """A right of a process: seen in use, or why it was not. `reason` is empty for one that should not be there."""

    process: str
    pair: str
    is_used: bool
    reason: str


def findings(deployment: Deployment, used: Used) -> Iterator[Finding]:
    """Every right of every process."""
    for process, role in all_roles(deployment).items():
        seen = set(used.get(process, ()))
        for statement in role.statements:
            for pair in allowed_pairs(statement):
                yield Finding(process, pair, pair in seen, statement.unseen or role.unseen)


def recorded() -> dict[str, list[str]]:
    """What the tests have seen, by process: actions, and the resources of the statements that allowed them."""
    found: dict[str, list[str]] = json.loads(RECORD.read_text())
    return found


def report(deployment: Deployment) -> Iterator[str]:
    """A line for each right of each process."""
    for each in findings(deployment, recorded()):
        told = "used in tests" if each.is_used else each.reason or "NEITHER USED NOR JUSTIFIED"
        yield f"{each.process:13} {each.pair:110} {told}"


if __name__ == "__main__":
    print("\n".join(report(Deployment())))
