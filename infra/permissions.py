"""What each process may do: every policy of the deployment, in one place, as plain data.

`python -m infra.permissions` prints them as JSON. A statement whose resource ends in `*` says why; an action never holds one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from infra.deployment import Deployment
from infra.names import DATA_KEY, Names
from infra.settings import WHEELS


@dataclass(frozen=True)
class Statement:
    """Actions that are allowed on resources. `why`: the reason for a `*` in them. `unseen`: why tests do not use all (rights.py)."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    why: str = ""
    unseen: str = ""

    @property
    def document(self) -> dict[str, Any]:
        """The statement as IAM writes it."""
        condition = (
            {"Condition": {name: dict(each) for name, each in self.conditions.items()}} if self.conditions else {}
        )
        return {"Effect": "Allow", "Action": list(self.actions), "Resource": list(self.resources), **condition}


@dataclass(frozen=True)
class Role:
    """A process and what it may do. `principal`: the service that runs it. `unseen`: why no test runs it."""

    principal: str
    statements: tuple[Statement, ...]
    unseen: str = ""


OBJECTS = "objects are named by arrival, day or version, which are not known before"
TASKS = "every task of the cluster has an id of its own"
NO_RESOURCES = "the action has no resource-level permissions"
STREAMS = "log streams are named by the task that writes them"
EXPERIMENTS, CANARY = "experiments.yaml", "canary.json"
ROUTING = (EXPERIMENTS, "shelves.yaml", "shadow.yaml", CANARY)
SERVICE = "a service of AWS acts by it, which the server for tests does not run"
NOT_FOUND = "else an object that is not there looks like a forbidden one"
FAILED_UPLOADS = "an upload of several parts that fails is rare: tests see one to the hub"
ECS, SAGEMAKER = "ecs-tasks.amazonaws.com", "sagemaker.amazonaws.com"


class _Grants:
    """Statements that several roles share."""

    def __init__(self, names: Names) -> None:
        """`names`: those of the deployment."""
        self.names = names
        self.key = Statement(("kms:Decrypt", "kms:GenerateDataKey"), (DATA_KEY,))
        self.decrypt = Statement(("kms:Decrypt",), (DATA_KEY,))

    def settings(self, secret: str) -> tuple[Statement, ...]:
        """Read the settings in Parameter Store, and the secret with the rest."""
        return (
            Statement(("ssm:GetParametersByPath",), (self.names.arn("ssm", f"parameter{self.names.parameters}"),)),
            Statement(("secretsmanager:GetSecretValue",), (self.names.secret_arn(secret),)),
        )

    def routing(self, *actions: str, files: tuple[str, ...] = ROUTING) -> Statement:
        """Read or write files of routing in Parameter Store."""
        places = tuple(self.names.arn("ssm", f"parameter{self.names.routing}/{each}") for each in files)
        return Statement(tuple(f"ssm:{each}Parameter" for each in actions), places)

    def list_bucket(self, bucket: str) -> Statement:
        """List the objects of a bucket."""
        return Statement(("s3:ListBucket",), (self.names.bucket_arn(bucket),))

    def objects(self, bucket: str, *actions: str, below: str = "*", unseen: str = "") -> Statement:
        """Act on objects of a bucket below a prefix. `unseen`: as of a statement."""
        given = tuple(f"s3:{action}Object" for action in actions)
        # Parts of an upload that failed are removed at once; AWS does not count that as writing.
        given += ("s3:AbortMultipartUpload",) if "Put" in actions else ()
        return Statement(given, (f"{self.names.bucket_arn(bucket)}/{below}",), why=OBJECTS, unseen=unseen)

    @property
    def hub(self) -> tuple[Statement, ...]:
        """Read and write the hub."""
        return self.list_bucket("hub"), self.objects("hub", "Get", "Put", "Delete", below="hub/*"), self.key

    @property
    def seen_hub(self) -> tuple[Statement, ...]:
        """Read the hub. What is written to Snowflake, such as the steps of a canary, goes through a folder of its own."""
        staged = self.objects("hub", "Put", "Delete", below="hub/loading/*", unseen="written with Snowflake alone")
        return self.list_bucket("hub"), self.objects("hub", "Get", below="hub/*"), staged, self.key

    @property
    def world(self) -> Statement:
        """Mount the file system of the world."""
        return Statement(
            ("elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"),
            (self.names.arn("elasticfilesystem", "file-system/*"),),
            {"StringEquals": {"aws:ResourceTag/recsys:stage": self.names.deployment.stage}},
            why="the id is made with the file system; the tag tells which one is meant",
            unseen="ECS mounts it; no request of a process does",
        )

    def publish(self, topic: str, unseen: str = "") -> Statement:
        """Publish to a topic."""
        return Statement(("sns:Publish",), (self.names.arn("sns", self.names.of(topic)),), unseen=unseen)

    def write_logs(self, *processes: str) -> Statement:
        """Write to the log groups of processes."""
        groups = tuple(self.names.arn("logs", f"log-group:{self.names.log_group(each)}:*") for each in processes)
        return Statement(("logs:CreateLogStream", "logs:PutLogEvents"), groups, why=STREAMS)

    @property
    def cluster_tasks(self) -> str:
        """The tasks of the cluster."""
        return self.names.arn("ecs", f"task/{self.names.of('platform')}/*")

    @property
    def landing(self) -> Statement:
        """Receive notifications of new objects."""
        return Statement(
            ("sqs:ReceiveMessage", "sqs:DeleteMessage"), (self.names.arn("sqs", self.names.of("landing")),)
        )

    def glue(self, *actions: str, databases: tuple[str, ...] = ()) -> Statement:
        """Act on the tables of Glue databases."""
        databases = databases or (self.names.glue_database,)
        tables = [self.names.arn("glue", f"table/{name}/*") for name in databases]
        found = [self.names.arn("glue", "catalog"), *(self.names.arn("glue", f"database/{name}") for name in databases)]
        return Statement(tuple(f"glue:{action}" for action in actions), (*found, *tables), why="tables follow the data")


def roles(deployment: Deployment) -> dict[str, Role]:
    """The role of each process, by the process' name."""
    grants = _Grants(Names(deployment))
    return {**_dagster_roles(grants), **_serving_roles(grants), **_data_roles(grants)}


def _dagster_roles(of: _Grants) -> dict[str, Role]:
    names, settings = of.names, of.settings("platform")
    register = of.glue(
        "GetTables",
        "CreateTable",
        "UpdateTable",
        "DeleteTable",
        "GetPartitions",
        "BatchCreatePartition",
        "BatchUpdatePartition",
        "BatchDeletePartition",
    )
    run = names.arn("ecs", f"task-definition/{names.of('run')}:*")
    look, stop = (Statement((f"ecs:{each}",), (of.cluster_tasks,), why=TASKS) for each in ("DescribeTasks", "StopTask"))
    describe = Statement(("ecs:DescribeTaskDefinition",), ("*",), why=NO_RESOURCES)
    daemon = (
        Statement(("ecs:RunTask",), (run,), why="each change of the definition is a revision"),
        Statement(("ecs:TagResource",), (of.cluster_tasks,), why=TASKS),
        Statement(
            ("iam:PassRole",),
            (names.role_arn("run"), names.role_arn("execution")),
            {"StringEquals": {"iam:PassedToService": ECS}},
        ),
        look,
        replace(stop, unseen="a run is stopped when it takes hours longer than it may"),
        Statement(("ecs:DescribeTaskDefinition", "ec2:DescribeNetworkInterfaces"), ("*",), why=NO_RESOURCES),
        Statement(
            ("logs:GetLogEvents",),
            (names.arn("logs", f"log-group:{names.log_group('run')}:*"),),
            why=STREAMS,
            unseen="the last lines of a task that failed, and tests have no ECS that runs tasks",
        ),
    )
    logs = of.objects("logs", "Get", below="compute_logs/*")
    artifacts = of.objects("models", "Get", "Put", "Delete", below="mlflow/*", unseen=FAILED_UPLOADS)
    return {
        "code-server": Role(ECS, (*settings, *of.seen_hub, of.landing, of.publish("alerts"), *_step_canary(of))),
        "web-server": Role(ECS, (describe, look, stop, of.list_bucket("logs"), logs, of.decrypt)),
        "daemon": Role(ECS, daemon),
        "run": Role(ECS, (*settings, *of.hub, *_run(of), register, of.world)),
        "mlflow": Role(ECS, (of.list_bucket("models"), artifacts, of.key)),
        "reports": Role(
            ECS,
            (replace(of.list_bucket("site"), unseen=NOT_FOUND), of.objects("site", "Get", below="site/*"), of.decrypt),
        ),
        "execution": Role(ECS, _execution(of), unseen="ECS itself starts containers with it"),
    }


def _run(of: _Grants) -> tuple[Statement, ...]:
    """What a run does besides; commands too, which start and stop experiments and shift the traffic of the endpoint."""
    endpoint = of.names.arn("sagemaker", f"endpoint/{of.names.endpoint}")
    return (
        Statement(("sagemaker:DescribeEndpoint", "sagemaker:UpdateEndpointWeightsAndCapacities"), (endpoint,)),
        of.objects("logs", "Put", below="compute_logs/*", unseen=FAILED_UPLOADS),
        of.publish("alerts", unseen="`recsys canary step` sends the alerts that tests see from the sensor"),
        *_step_canary(of),
        of.routing("Put", files=(EXPERIMENTS,)),
        Statement(
            ("secretsmanager:PutSecretValue", "secretsmanager:CreateSecret"),
            (of.names.arn("secretsmanager", f"secret:{of.names.secret('api-keys')}/*"),),
            why="a key of the API is named by who uses it",
        ),
        replace(of.list_bucket("models"), unseen=NOT_FOUND),
        of.objects("models", "Get", "Put", below="sagemaker/*", unseen=FAILED_UPLOADS),
        of.list_bucket("site"),
        of.objects("site", "Get", "Put", below="site/*", unseen=FAILED_UPLOADS),
    )


def _step_canary(of: _Grants) -> tuple[Statement, ...]:
    """Read what routes visitors, and move the canary."""
    return of.routing("Get"), of.routing("Put", files=(CANARY,))


def _execution(of: _Grants) -> tuple[Statement, ...]:
    """Start a container: its image, its log group, and the secrets that its task definition names."""
    processes = ("code-server", "web-server", "daemon", "run", "mlflow", "gateway", "collector", "reports")
    images = tuple(of.names.arn("ecr", f"repository/{of.names.of(each)}") for each in ("dagster", "gateway", "mlflow"))
    secrets = tuple(map(of.names.secret_arn, ("dagster-database", "mlflow-database")))
    return (
        Statement(("ecr:GetAuthorizationToken",), ("*",), why=NO_RESOURCES),
        Statement(("ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"), images),
        of.write_logs(*processes),
        Statement(("secretsmanager:GetSecretValue",), secrets),
        of.decrypt,
    )


def _serving_roles(of: _Grants) -> dict[str, Role]:
    names = of.names
    stream = Statement(("kinesis:PutRecords",), (names.arn("kinesis", f"stream/{names.of('events')}"),))
    invoke = Statement(("sagemaker:InvokeEndpoint",), (names.arn("sagemaker", f"endpoint/{names.endpoint}"),))
    metrics = Statement(
        ("logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"),
        (names.arn("logs", f"log-group:{names.log_group('metrics')}:*"),),
        why=STREAMS,
        unseen="the collector beside the gateway writes, which is a program of AWS",
    )
    host = (
        of.list_bucket("models"),
        of.objects("models", "Get", below="sagemaker/*"),
        of.decrypt,
        Statement(("ecr:GetAuthorizationToken",), ("*",), why=NO_RESOURCES),
        Statement(
            ("ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"),
            (names.arn("ecr", f"repository/{names.of('model-host')}"),),
        ),
        Statement(
            ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"),
            (names.arn("logs", f"log-group:/aws/sagemaker/Endpoints/{names.endpoint}*"),),
            why="SageMaker makes one group an endpoint and one stream a container",
        ),
        Statement(
            ("cloudwatch:PutMetricData",),
            ("*",),
            {"StringEquals": {"cloudwatch:namespace": "AWS/SageMaker"}},
            why=NO_RESOURCES,
        ),
    )
    gateway = (*of.settings("gateway"), of.routing("Get"), stream, invoke, metrics, of.key, of.world)
    return {
        "gateway": Role(ECS, gateway),
        "load-balancing": Role("ecs.amazonaws.com", _shift_traffic(of), unseen=SERVICE),
        "model-host": Role(
            SAGEMAKER, host, unseen="SageMaker fetches archive and image; the process itself asks nothing"
        ),
        "authoriser": Role(
            "lambda.amazonaws.com",
            (of.write_logs("authoriser"), of.decrypt),
            unseen="Lambda writes the logs; the function asks nothing",
        ),
    }


def _shift_traffic(of: _Grants) -> tuple[Statement, ...]:
    """What ECS does during a deployment of gateways: register the new ones, let the listener lead to them, and back."""
    of_balancer = "elasticloadbalancing"
    listener = of.names.arn(of_balancer, f"listener/net/{of.names.of('api')}/*")
    groups = of.names.arn(of_balancer, f"targetgroup/{of.names.base}-*/*")
    looks = ("DescribeListeners", "DescribeRules", "DescribeTargetGroups", "DescribeTargetHealth")
    return (
        Statement(tuple(f"{of_balancer}:{each}" for each in looks), ("*",), why=NO_RESOURCES),
        Statement((f"{of_balancer}:ModifyListener",), (listener,), why="the id of a listener is made with it"),
        Statement(
            (f"{of_balancer}:RegisterTargets", f"{of_balancer}:DeregisterTargets"),
            (groups,),
            why="the id of a group of targets is made with it",
        ),
    )


def _data_roles(of: _Grants) -> dict[str, Role]:
    names = of.names
    read_hub = (of.list_bucket("hub"), of.objects("hub", "Get", below="hub/*"), of.decrypt)
    curated = (of.list_bucket("hub"), of.objects("hub", "Get", below="hub/curated/*"))
    read_glue = of.glue("GetDatabase", "GetDatabases", "GetTable", "GetTables", "GetPartition", "GetPartitions")
    unload = of.objects("hub", "Get", "Put", below="hub/unloaded/*")
    events = names.arn("kinesis", f"stream/{names.of('events')}")
    deliver = (
        Statement(
            ("s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"), (names.bucket_arn("hub"),)
        ),
        Statement(("s3:AbortMultipartUpload", "s3:PutObject"), (f"{names.bucket_arn('hub')}/hub/*",), why=OBJECTS),
        Statement(
            ("kinesis:DescribeStream", "kinesis:GetShardIterator", "kinesis:GetRecords", "kinesis:ListShards"),
            (events,),
        ),
        Statement(
            ("logs:PutLogEvents",), (names.arn("logs", f"log-group:{names.log_group('firehose')}:*"),), why=STREAMS
        ),
        of.key,
    )
    flows = Statement(
        ("logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"),
        (names.arn("logs", f"log-group:{names.log_group('network')}:*"),),
        why=STREAMS,
    )
    return {
        "network": Role("vpc-flow-logs.amazonaws.com", (flows,), unseen=SERVICE),
        "firehose": Role("firehose.amazonaws.com", deliver, unseen=SERVICE),
        "crawler": Role("glue.amazonaws.com", (*read_hub, *_crawl(of)), unseen=SERVICE),
        "redshift": Role("redshift.amazonaws.com", (*curated, unload, read_glue, of.key), unseen=SERVICE),
        "spark": Role("emr-serverless.amazonaws.com", (*_spark(of), of.key), unseen="tests run the job on folders"),
        "notebooks": Role(
            SAGEMAKER,
            (*curated, read_glue, *_query(of), *_read_world(of), *_studio(of), of.key, *_own_space(of)),
            unseen="people query by it in Studio, and tests have none",
        ),
    }


def _crawl(of: _Grants) -> tuple[Statement, ...]:
    names = of.names
    return (
        of.glue(
            "GetDatabase",
            "GetTable",
            "GetTables",
            "CreateTable",
            "UpdateTable",
            "GetPartitions",
            "BatchGetPartition",
            "BatchCreatePartition",
            databases=(names.discovered_database,),
        ),
        Statement(
            ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:AssociateKmsKey"),
            (names.arn("logs", "log-group:/aws-glue/crawlers*"),),
            why="Glue names the group by the crawler's role and security configuration",
        ),
    )


def _spark(of: _Grants) -> tuple[Statement, ...]:
    return (
        of.list_bucket("hub"),
        of.objects("hub", "Get", below="hub/curated/*"),
        of.objects("hub", "Get", "Put", "Delete", below="hub/spark/*"),
        of.objects("logs", "Put", below="spark/*"),
    )


def _query(of: _Grants) -> tuple[Statement, ...]:
    """Query curated tables by Athena; what it writes are results alone."""
    workgroup = of.names.arn("athena", f"workgroup/{of.names.of('analysts')}")
    actions = ("StartQueryExecution", "GetQueryExecution", "GetQueryResults", "StopQueryExecution", "GetWorkGroup")
    return (
        Statement(tuple(f"athena:{each}" for each in actions), (workgroup,)),
        Statement(("s3:GetBucketLocation", "s3:ListBucket"), (of.names.bucket_arn("results"),)),
        of.objects("results", "Get", "Put", below="athena/*"),
    )


def snowflake_statements(deployment: Deployment) -> tuple[Statement, ...]:
    """What Snowflake's storage integration may do: read the hub, since the platform itself writes what is loaded."""
    of = _Grants(Names(deployment))
    location = Statement(("s3:GetBucketLocation",), (of.names.bucket_arn("hub"),))
    versions = Statement(("s3:GetObject", "s3:GetObjectVersion"), (f"{of.names.bucket_arn('hub')}/hub/*",), why=OBJECTS)
    return location, of.list_bucket("hub"), versions, of.decrypt


def _read_world(of: _Grants) -> tuple[Statement, ...]:
    """What `open_world` and the script of a space read besides: settings, experiments, the platform's wheel."""
    wheels = of.list_bucket("models"), of.objects("models", "Get", below=f"{WHEELS}/*")
    return (*of.settings("notebooks"), of.routing("Get", files=(EXPERIMENTS,)), *wheels)


def _studio(of: _Grants) -> tuple[Statement, ...]:
    """What Studio does in the name of whoever works in it: start and stop one's space."""
    spaces = tuple(of.names.arn("sagemaker", f"{kind}/*") for kind in ("app", "space", "domain", "user-profile"))
    acts = (
        "CreateApp",
        "DeleteApp",
        "DescribeApp",
        "CreateSpace",
        "UpdateSpace",
        "DeleteSpace",
        "DescribeSpace",
        "AddTags",
    )
    shown = ("DescribeDomain", "DescribeUserProfile")
    lists = ("sagemaker:ListApps", "sagemaker:ListSpaces", "sagemaker:ListDomains", "sagemaker:ListUserProfiles")
    return (
        Statement(
            tuple(f"sagemaker:{each}" for each in (*acts, *shown)), spaces, why="the domain's id is made with it"
        ),
        Statement(lists, ("*",), why=NO_RESOURCES),
    )


def _own_space(of: _Grants) -> tuple[Statement, ...]:
    """What a space needs to start: its encrypted disk, and the log of its script."""
    studio = of.names.arn("logs", "log-group:/aws/sagemaker/studio:*")
    return (
        Statement(("kms:DescribeKey",), (DATA_KEY,)),
        Statement(("kms:CreateGrant",), (DATA_KEY,), {"Bool": {"kms:GrantIsForAWSResource": "true"}}),
        Statement(
            ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"),
            (studio,),
            why="one log stream for each space",
        ),
    )


def delivery_statements(deployment: Deployment) -> tuple[Statement, ...]:
    """What a deployment may do by itself: push images, upload a model, and become the CDK's own roles, which CloudFormation trusts."""
    of = _Grants(Names(deployment))
    names = of.names
    cdk = f"arn:aws:iam::{deployment.account}:role/cdk-*-{deployment.account}-{deployment.region}"
    images = tuple(
        names.arn("ecr", f"repository/{names.of(each)}") for each in ("dagster", "gateway", "model-host", "mlflow")
    )
    push = (
        "BatchCheckLayerAvailability",
        "InitiateLayerUpload",
        "UploadLayerPart",
        "CompleteLayerUpload",
        "PutImage",
        "BatchGetImage",
        "DescribeImageScanFindings",
    )
    return (
        Statement(
            ("sts:AssumeRole",),
            (cdk,),
            why="roles of the CDK are named by what they do and by how the account was prepared",
        ),
        Statement(("ecr:GetAuthorizationToken",), ("*",), why=NO_RESOURCES),
        Statement(tuple(f"ecr:{each}" for each in push), images),
        of.key,
        *_platform_tasks(of),
        *_release(of),
    )


def _platform_tasks(of: _Grants) -> tuple[Statement, ...]:
    """Run a command in the network, as a task of the definition of runs, and read what it prints (platform_task.py)."""
    names = of.names
    run = names.arn("ecs", f"task-definition/{names.of('run')}:*")
    return (
        Statement(("ecs:RunTask",), (run,), why="each change of the definition is a revision"),
        Statement(
            ("iam:PassRole",),
            (names.role_arn("run"), names.role_arn("execution")),
            {"StringEquals": {"iam:PassedToService": ECS}},
        ),
        Statement(("ecs:DescribeTasks", "ecs:TagResource"), (of.cluster_tasks,), why=TASKS),
        Statement(("ecs:DescribeServices",), (_service(of, "daemon"),)),
        Statement(("logs:GetLogEvents",), (names.arn("logs", f"log-group:{names.log_group('run')}:*"),), why=STREAMS),
    )


def _release(of: _Grants) -> tuple[Statement, ...]:
    """Restart what reads its settings when it starts, and shift the requests of model hosts."""
    names = of.names
    endpoint = names.arn("sagemaker", f"endpoint/{names.endpoint}")
    return (
        Statement(
            ("ecs:UpdateService", "ecs:DescribeServices"),
            tuple(_service(of, each) for each in ("code-server", "gateway")),
        ),
        Statement(("sagemaker:DescribeEndpoint", "sagemaker:UpdateEndpointWeightsAndCapacities"), (endpoint,)),
        Statement(
            ("cloudformation:DescribeStacks",),
            (names.arn("cloudformation", f"stack/{names.of('models')}/*"),),
            why="the id of a stack is made with it",
        ),
    )


def _service(of: _Grants, name: str) -> str:
    return of.names.arn("ecs", f"service/{of.names.of('platform')}/{of.names.of(name)}")


def diff_statements(deployment: Deployment) -> tuple[Statement, ...]:
    """What the workflow of a pull request may do: read the templates that are deployed; no data and no secret is in one."""
    names = Names(deployment)
    stacks = names.arn("cloudformation", f"stack/{names.base}-*/*")
    bootstrap = names.arn("ssm", "parameter/cdk-bootstrap/*/version")
    return (
        Statement(
            ("cloudformation:DescribeStacks", "cloudformation:GetTemplate"),
            (stacks,),
            why="the id of a stack is made with it",
        ),
        Statement(
            ("ssm:GetParameter",), (bootstrap,), why="the account was prepared under a name of its owner's choice"
        ),
    )


def documents(deployment: Deployment) -> dict[str, dict[str, Any]]:
    """The policy of each process as IAM reads it."""
    return {
        name: {"Version": "2012-10-17", "Statement": [each.document for each in role.statements]}
        for name, role in roles(deployment).items()
    }


if __name__ == "__main__":
    print(json.dumps(documents(Deployment()), indent=2))
