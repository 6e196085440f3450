"""How long the gateway in AWS Lambda takes from nothing to its first answer: a fresh process for each kind of event.

    python benchmarks/serving_lambda.py HOME [--json]

HOME is a world with a snapshot. What Lambda itself takes (a sandbox, fetching the code) is not in it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from measure import Budget, show

from recsys_platform.config.settings import load_settings
from recsys_platform.serving.gateway.server import key_store_of

TIMES = 3
BUDGET: dict[str, Budget] = {}
PATH = "/v1/users/u000001/recommendations"
PROGRAM = """
import json, sys, time
from types import SimpleNamespace
event, started = json.load(sys.stdin), time.perf_counter()
from recsys_platform.serving.gateway.aws_lambda import handler
imported = time.perf_counter()
context = SimpleNamespace(aws_request_id="r", get_remaining_time_in_millis=lambda: 3000)
first = handler(event, context)
answered, answered_at, cpu = time.perf_counter(), time.time(), time.process_time()
second = handler(event, context)
warm = time.perf_counter()
json.dump({"statuses": [first["statusCode"], second["statusCode"]], "source": json.loads(first["body"])["source"],
    "answered_at": answered_at, "cpu": cpu, "import": imported - started,
    "first": answered - imported, "warm": warm - answered}, sys.stdout)
"""


def events(key: str) -> dict[str, dict[str, object]]:
    """The same request as API Gateway (v1, v2) and a load balancer send it."""
    headers = {"authorization": f"Bearer {key}", "host": "api.example.com"}
    common = {"headers": headers, "isBase64Encoded": False, "body": None}
    by_v1 = {"resource": "/{proxy+}", "path": PATH, "httpMethod": "GET", "queryStringParameters": None}
    context = {"identity": {"sourceIp": "192.0.2.1"}, "stage": "live"}
    http = {"http": {"method": "GET", "path": PATH, "sourceIp": "192.0.2.1"}, "stage": "$default"}
    group = {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/a/b"}}
    return {
        "v1": {
            **common,
            **by_v1,
            "requestContext": context,
            "multiValueHeaders": None,
            "multiValueQueryStringParameters": None,
        },
        "v2": {**common, "version": "2.0", "rawPath": PATH, "rawQueryString": "", "requestContext": http},
        "alb": {
            **common,
            "requestContext": group,
            "httpMethod": "GET",
            "path": PATH,
            "queryStringParameters": {},
            "body": "",
        },
    }


def cold_start(home: Path, event: dict[str, object]) -> dict[str, float]:
    """Seconds of a fresh process: to its first answer, of imports, of loading and answering, of a second answer; its CPU."""
    started = time.time()
    environment = {**os.environ, "RECSYS_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        input=json.dumps(event),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert (found.pop("statuses"), found.pop("source")) == ([200, 200], "live"), done.stdout
    return {**found, "all": found["answered_at"] - started}


def lambda_figures(home: Path, key: str) -> dict[str, float]:
    """The median of some cold starts of each kind; the slowest kind counts."""
    found = {kind: [cold_start(home, event) for _ in range(TIMES)] for kind, event in events(key).items()}

    def slowest(name: str) -> float:
        return 1e3 * max(statistics.median(run[name] for run in runs) for runs in found.values())

    return {
        "lambda_cold_start_ms": slowest("all"),
        "lambda_import_ms": slowest("import"),
        "lambda_first_answer_ms": slowest("first"),
        "lambda_warm_answer_ms": slowest("warm"),
        "lambda_cold_start_cpu_ms": slowest("cpu"),
    }


def main() -> None:
    """Measure a world."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    key = key_store_of(load_settings({"RECSYS_HOME": str(given.home)})).create("benchmark")[1]
    figures = lambda_figures(given.home, key)
    show(figures, BUDGET, as_json=given.json)


if __name__ == "__main__":
    main()
