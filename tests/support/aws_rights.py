"""Rights, held by the server that stands for AWS: a request in the name of a role is refused unless the role's policy allows it.

moto checks rights itself, but not on which resource. Its hook for that is taken; requests in no role's name may do anything.
"""

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.exceptions import AccessDeniedError, JsonRESTError
from moto.iam.access_control import AssumedRoleAccessKey, CreateAccessKeyFailure
from moto.s3.exceptions import S3ClientError

from infra.deployment import Deployment
from infra.names import DATA_KEY, Names
from infra.rights import Request, Right, all_roles, allowing, rights

RECORD_VARIABLE = "AWS_CALLS_OF_TESTS"
"""Names the file to which the server adds what roles did: a line of JSON for each."""
KEY_PREFIX = "role-of-"
"""With the name of a process behind it, an access key in the name of its role, with the policy of permissions.py."""
NAMES = Names(Deployment())
_ACCESS_KEY = re.compile(r"Credential=([^/]+)/[^/]+/([^/]+)/([^/]+)/")
_KEY_ARN = re.compile(r'arn:aws:kms:[^"]+')
_SERVICES = {"monitoring": "cloudwatch"}
"""Services as IAM calls them, by the name that signs their requests."""
_NAMES_IN_TESTS = (
    (r"^(arn:aws:\w+):[\w-]+:\d+:", rf"\1:{NAMES.deployment.region}:{NAMES.deployment.account}:"),
    (r"^arn:aws:iam::\d+:", f"arn:aws:iam::{NAMES.deployment.account}:"),
    (r"^arn:aws:s3:::recsys-hub/models/", f"{NAMES.bucket_arn('models')}/sagemaker/"),
    (r"^arn:aws:s3:::recsys-hub/site/", f"{NAMES.bucket_arn('site')}/site/"),
    (r"^arn:aws:s3:::recsys-hub/((world|hub)/)?", f"{NAMES.bucket_arn('hub')}/hub/"),
    (r"^arn:aws:s3:::recsys-hub$", NAMES.bucket_arn("hub")),
    (r"^arn:aws:s3:::nobodys$", NAMES.bucket_arn("hub")),
    (r":landing$", f":{NAMES.of('landing')}"),
    (r":alerts(-gone)?$", f":{NAMES.of('alerts')}"),
    (r":(database|table)/(recsys|readers)\b", rf":\1/{NAMES.glue_database}"),
    (r":stream/events$", f":stream/{NAMES.of('events')}"),
    (r":parameter/recsys/production\b", f":parameter{NAMES.parameters}"),
    (r":parameter/recsys/routing\b", f":parameter{NAMES.routing}"),
    (r":secret:recsys/production-", f":secret:{NAMES.secret('platform')}-"),
    (r":endpoint/(recsys|none)$", f":endpoint/{NAMES.endpoint}"),
)
"""What the names that tests give to resources mean in the default deployment."""


def enforce() -> None:
    """Make moto ask for rights."""
    ActionAuthenticatorMixin._authenticate_and_authorize_action = _check


def _check(response: Any, _: type, resource: str = "*") -> None:
    signed = _ACCESS_KEY.search(response.headers.get("Authorization", ""))
    role = _role_of(response, signed[1]) if signed else None
    if not signed or role is None:
        return
    process, statements = role
    for right in rights(_request(response, signed[2], signed[3], resource)):
        pair = allowing(statements, _as_deployed(right))
        _record(process, pair, f"{right}")
        if pair is None:
            raise _refusal(signed[3], f"the process {process} may not do {right} (infra/permissions.py)")


def _role_of(response: Any, key: str) -> tuple[str, list[dict[str, Any]]] | None:
    """Process and policy of the role in whose name a request is. A role that was assumed has the policies that IAM knows."""
    if key.startswith(KEY_PREFIX):
        process = key.removeprefix(KEY_PREFIX)
        return process, _policies()[process]
    try:
        assumed = AssumedRoleAccessKey(response.current_account, "aws", key, response.headers)
    except CreateAccessKeyFailure:
        return None
    # There is one key: its ARN is known only where it was made.
    documents = (json.loads(_KEY_ARN.sub(DATA_KEY, each)) for each in assumed.collect_policies())
    process = assumed.arn.split("/")[1].removeprefix(NAMES.of(""))
    return process, [statement for each in documents for statement in each["Statement"]]


@cache
def _policies() -> dict[str, list[dict[str, Any]]]:
    return {name: [each.document for each in role.statements] for name, role in all_roles(NAMES.deployment).items()}


def _request(response: Any, region: str, service: str, resource: str) -> Request:
    place = f"{region}:{response.current_account}"
    if service == "s3":
        given = {"arn": _object_arn(response, resource), "uploadId": "uploadId" in response.data}
        return Request(service, response._get_action(), given.get, place)
    return Request(_SERVICES.get(service, service), response._get_action(), response._get_param, place)


def _object_arn(response: Any, resource: str) -> str:
    """The resource that moto names; of a request that deletes several objects, the first of them."""
    keys = re.findall("<Key>(.+?)</Key>", _text(response.body)) if response._get_action() == "DeleteObject" else []
    return f"{resource}/{keys[0]}" if keys else resource


def _text(body: Any) -> str:
    return body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")


def _as_deployed(right: Right) -> Right:
    resource = right.resource
    for given, deployed in _NAMES_IN_TESTS:
        resource, _ = re.subn(given, deployed, resource)
    return Right(right.action, resource, right.context)


def _record(process: str, pair: str | None, right: str) -> None:
    if file := os.environ.get(RECORD_VARIABLE):
        with Path(file).open("a") as lines:
            lines.write(json.dumps([process, pair, right]) + "\n")


def _refusal(service: str, message: str) -> Exception:
    if service == "s3":
        return S3ClientError("AccessDenied", message)
    if service in ("ec2", "sns"):
        return AccessDeniedError(user_arn="of a role", action=message)
    return JsonRESTError("AccessDeniedException", message)
