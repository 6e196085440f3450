"""Each right of a process is used in the tests or has a reason, and policies are evaluated as IAM does."""

from typing import Any

import pytest

from infra.deployment import SIZE_NAMES, STAGES, Deployment
from infra.names import DATA_KEY
from infra.permissions import Statement
from infra.rights import Request, Right, all_roles, allowed_pairs, allowing, findings, recorded, report, rights

PLACE = "eu-central-1:111111111111"
BUCKET = "arn:aws:s3:::recsys-prod-hub-111111111111"


def test_every_right_is_used_or_has_a_reason_why_tests_do_not_use_it() -> None:
    assert [str(each) for each in findings(Deployment(), recorded()) if not (each.is_used or each.reason)] == []


def test_no_reason_stands_where_all_rights_are_used() -> None:
    used = recorded()
    for process, role in all_roles(Deployment()).items():
        for statement in role.statements:
            assert not statement.unseen or set(allowed_pairs(statement)) - set(used.get(process, ())), statement


def test_what_was_recorded_is_allowed() -> None:
    for process, pairs in recorded().items():
        allowed = {
            pair for statement in all_roles(Deployment())[process].statements for pair in allowed_pairs(statement)
        }
        assert set(pairs) <= allowed, process


@pytest.mark.parametrize("deployment", [Deployment(stage, size) for stage in STAGES for size in SIZE_NAMES], ids=str)
def test_who_reads_objects_may_list_their_bucket(deployment: Deployment) -> None:
    """Else AWS answers for an object that is not there as for one that may not be read."""
    for process, role in all_roles(deployment).items():
        documents = [each.document for each in role.statements]
        for statement in role.statements:
            for resource in statement.resources if "s3:GetObject" in statement.actions else ():
                assert allowing(documents, Right("s3:ListBucket", resource.partition("/")[0])), process


def test_the_report_tells_of_each_right_what_it_has() -> None:
    lines = list(report(Deployment()))
    assert any(line.split()[:2] == ["run", "glue:DeleteTable"] and line.endswith("used in tests") for line in lines)
    assert any(line.startswith("crawler ") and "does not run" in line for line in lines)
    assert not any("NEITHER" in line for line in lines)


# Evaluation

READ = Statement(("s3:GetObject",), (f"{BUCKET}/hub/*", f"{BUCKET}/?.json")).document
PASS = Statement(
    ("iam:PassRole",), ("arn:aws:iam::1:role/run",), {"StringEquals": {"iam:PassedToService": "ecs"}}
).document


@pytest.mark.parametrize(
    ("right", "is_allowed"),
    [
        (Right("s3:GetObject", f"{BUCKET}/hub/a/b"), True),
        (Right("S3:getobject", f"{BUCKET}/hub/a"), True),
        (Right("s3:GetObject", f"{BUCKET}/hub/"), True),
        (Right("s3:GetObject", f"{BUCKET}/Hub/a"), False),
        (Right("s3:GetObject", f"{BUCKET}/hub"), False),
        (Right("s3:GetObject", f"{BUCKET}/a.json"), True),
        (Right("s3:GetObject", f"{BUCKET}/ab.json"), False),
        (Right("s3:GetObject", f"{BUCKET}/aXjson"), False),
        (Right("s3:GetObjectVersion", f"{BUCKET}/hub/a"), False),
        (Right("s3:PutObject", f"{BUCKET}/hub/a"), False),
        (Right("iam:PassRole", "arn:aws:iam::1:role/run", {"iam:PassedToService": "ecs"}), True),
        (Right("iam:PassRole", "arn:aws:iam::1:role/run", {"iam:PassedToService": "ec2"}), False),
        (Right("iam:PassRole", "arn:aws:iam::1:role/run"), False),
    ],
    ids=str,
)
def test_a_right_is_allowed_by_action_resource_and_condition(right: Right, is_allowed: bool) -> None:
    assert bool(allowing([READ, PASS], right)) is is_allowed


@pytest.mark.parametrize(
    "unknown",
    [
        {"Effect": "Deny", "Action": "s3:*", "Resource": "*"},
        {"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": "s3:*",
            "Resource": "*",
            "Condition": {"StringLike": {"aws:PrincipalTag/x": "a*"}},
        },
    ],
)
def test_what_the_evaluation_does_not_know_is_not_passed_over(unknown: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^Cannot evaluate "):
        allowing([unknown], Right("s3:GetObject", f"{BUCKET}/hub/a"))


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "needed"),
    [
        ("s3", "HeadBucket", {"arn": BUCKET}, [f"s3:ListBucket on {BUCKET}"]),
        ("s3", "GetObject", {"arn": f"{BUCKET}/a"}, [f"s3:GetObject on {BUCKET}/a", f"kms:Decrypt on {DATA_KEY}"]),
        (
            "s3",
            "PutObject",
            {"arn": f"{BUCKET}/a", "uploadId": "1"},
            [f"s3:PutObject on {BUCKET}/a", f"kms:GenerateDataKey on {DATA_KEY}", f"kms:Decrypt on {DATA_KEY}"],
        ),
        (
            "sqs",
            "DeleteMessageBatch",
            {"QueueUrl": "https://sqs.example.com/1/q"},
            [f"sqs:DeleteMessage on arn:aws:sqs:{PLACE}:q"],
        ),
        (
            "glue",
            "GetTables",
            {"DatabaseName": "d"},
            [f"glue:GetTables on arn:aws:glue:{PLACE}:{part}" for part in ("catalog", "database/d", "table/d/*")],
        ),
        ("ssm", "GetParameter", {"Name": "/a/b:3"}, [f"ssm:GetParameter on arn:aws:ssm:{PLACE}:parameter/a/b"]),
        (
            "ecs",
            "RunTask",
            {"taskDefinition": "recsys-prod-run", "cluster": "c"},
            [
                f"ecs:RunTask on arn:aws:ecs:{PLACE}:task-definition/recsys-prod-run:1",
                f"ecs:TagResource on arn:aws:ecs:{PLACE}:task/c/new",
                "iam:PassRole on arn:aws:iam::111111111111:role/recsys-prod-run",
                "iam:PassRole on arn:aws:iam::111111111111:role/recsys-prod-execution",
            ],
        ),
    ],
)
def test_a_request_needs_rights_on_what_it_acts_on_and_on_its_key(
    service: str, operation: str, parameters: dict[str, Any], needed: list[str]
) -> None:
    assert [str(each) for each in rights(Request(service, operation, parameters.get, PLACE))] == needed
