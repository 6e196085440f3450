"""What infra/ says about the platform is what the platform does. Templates themselves are tested by `make infra`, which needs Node."""

import base64
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra import authoriser
from infra.alarms import DIMENSIONS, GATEWAY, MESSAGES, WITHOUT_ALARM, alarms
from infra.api import ENDPOINTS
from infra.deployment import SIZE_NAMES, STAGES, Deployment
from infra.names import DATA_KEY, Names
from infra.permissions import delivery_statements, documents, roles, snowflake_statements
from infra.settings import API_LIMITS, KNOWN_ON_DEPLOYMENT, SECRETS, limits_text, parameters
from recsys_platform.config.settings import PREFIX, Settings, load_settings
from recsys_platform.config.world_files import EXPERIMENTS
from recsys_platform.hub.layout import LANDING
from recsys_platform.monitoring.metrics import METRICS
from recsys_platform.reports.costs.sizing import PLANS, monthly_cost, parse_events, read_prices
from recsys_platform.serving.exposures import EventSpool, SpoolFigures
from recsys_platform.serving.gateway import keys
from recsys_platform.serving.gateway.metrics import Asked, Metrics
from recsys_platform.serving.recommending import Source
from recsys_platform.serving.routing_files import CANARY_STATE, routing_of
from tests.support.cloudwatch import is_raised, series_of_scrapes

ROOT = Path(__file__).parents[2]
DEPLOYMENTS = [Deployment(stage, size) for stage in STAGES for size in SIZE_NAMES]
WITHOUT_KEY = ("/healthz", "/readyz", "/metrics")


def test_gateways_that_send_no_metrics_raise_an_alarm_of_that_alone() -> None:
    watched = [alarm for alarm in alarms(Deployment()) if alarm.namespace == GATEWAY]
    assert [each.name for each in watched if is_raised(each, {}, 1_790_000_000.0)] == ["gateway-metrics-missing"]


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda each: f"{each.stage}-{each.size_name}")
def test_parameters_are_settings_that_the_platform_accepts(deployment: Deployment) -> None:
    made = dict.fromkeys(KNOWN_ON_DEPLOYMENT, "https://issuer.example.com/known-on-deployment")
    secret = dict.fromkeys(("snowflake_private_key", "pii_salt"), "x" * 64)
    given = {f"{PREFIX}{name.upper()}": value for name, value in {**parameters(deployment), **made, **secret}.items()}
    assert load_settings(given).env == "aws"


def test_secrets_are_settings_that_are_secret() -> None:
    for names in SECRETS.values():
        for name in names:
            assert "SecretStr" in str(Settings.model_fields[name].annotation)


def test_limits_of_tiers_are_those_of_the_settings() -> None:
    assert limits_text(API_LIMITS) == Settings.model_fields["api_limits"].default
    assert tuple(API_LIMITS) == keys.TIERS


def test_api_gateway_knows_the_requests_of_the_apis_document() -> None:
    document = json.loads((ROOT / "clients" / "openapi.json").read_text())
    found = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert set(ENDPOINTS) == {(method, path) for method, path in found if path not in WITHOUT_KEY}


def test_every_alarm_of_the_gateway_names_values_that_its_labels_have() -> None:
    values = {
        "recsys_answers_total": {"yes", "none"},
        "recsys_spool_total": {"dropped"},
        "recsys_destination_total": {"dead", "dropped"},
        "recsys_destination_waiting": {"oldest_seconds"},
        "recsys_served_age_seconds": {"model", "snapshot"},
        "recsys_requests_total": {"500"},
    }
    for alarm in alarms(Deployment()):
        if alarm.namespace == GATEWAY and alarm.dimensions:
            assert set(alarm.dimensions.values()) <= values[alarm.metric], alarm.name


def test_every_alarm_has_a_chapter_in_the_runbook() -> None:
    headings = re.findall("^### (.+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted([*MESSAGES, *(alarm.name for alarm in alarms(Deployment()))])


def test_every_chapter_of_the_runbook_says_what_to_look_at_what_to_do_and_when_to_call_somebody() -> None:
    chapters = re.split("^### ", (ROOT / "docs" / "runbook.md").read_text(), flags=re.MULTILINE)[1:]
    for chapter in chapters:
        name, _, text = chapter.partition("\n")
        for part in ("**Look.**", "**Fix.**", "**Escalate.**"):
            assert part in text, name


def test_every_metric_of_ours_has_an_alarm_or_a_reason_why_not() -> None:
    emitted = {*DIMENSIONS, *metrics_of_gateway(), *(metric.name for metric in METRICS)}
    watched = {name for alarm in alarms(Deployment()) for name in (alarm.metric, alarm.percent_of)} & emitted
    assert watched | WITHOUT_ALARM.keys() == emitted
    assert watched.isdisjoint(WITHOUT_ALARM)
    assert all(WITHOUT_ALARM.values())


def metrics_of_gateway() -> set[str]:
    """All that a gateway can count, also what its world has not."""
    families = Metrics().registry.collect()
    return {f"{each.name}_total" if each.type == "counter" else each.name for each in families}


def test_every_alarm_of_the_gateway_watches_a_metric_by_labels_that_the_collector_sends() -> None:
    watched = [alarm for alarm in alarms(Deployment()) if alarm.namespace == GATEWAY]
    assert DIMENSIONS.keys() <= metrics_of_gateway()
    for alarm in watched:
        assert tuple(alarm.dimensions) in DIMENSIONS[alarm.metric], alarm.name
        assert alarm.percent_of is None or tuple(alarm.whole) in DIMENSIONS[alarm.percent_of], alarm.name


def count_errors(metrics: Metrics, times: int) -> None:
    for _ in range(times):
        metrics.observe("/v1/popular", 500, 0.1)


def count_answers(metrics: Metrics, source: Source, times: int, asked: Asked = "model") -> None:
    for _ in range(times):
        metrics.count_answer(source, asked)


def lose_events(metrics: Metrics, spool: EventSpool, times: int) -> None:
    spool.figures = SpoolFigures(dropped=spool.figures.dropped + times)
    metrics.set_spool(spool)


@pytest.mark.parametrize(
    ("fault", "raised"),
    [
        (lambda metrics, spool: None, set()),
        (lambda metrics, spool: count_errors(metrics, 20), {"gateway-errors"}),
        (lambda metrics, spool: count_errors(metrics, 2), set()),
        (lambda metrics, spool: count_answers(metrics, "popular", 10), {"gateway-fallback"}),
        (lambda metrics, spool: count_answers(metrics, "popular", 1), set()),
        (lambda metrics, spool: count_answers(metrics, "none", 1), {"gateway-empty"}),
        (lambda metrics, spool: count_answers(metrics, "popular", 50, "list"), set()),
        (lambda metrics, spool: count_answers(metrics, "published", 10), {"gateway-fallback"}),
        (lambda metrics, spool: metrics.failures.labels("redis").inc(200), {"gateway-failures"}),
        (lambda metrics, spool: lose_events(metrics, spool, 3), {"exposures-dropped"}),
        (lambda metrics, spool: metrics.set_ages({"model": 8 * 86_400, "snapshot": 60}), {"served-model-old"}),
        (lambda metrics, spool: metrics.set_ages({"model": 60, "snapshot": 3 * 86_400}), {"snapshot-old"}),
    ],
)
def test_a_fault_of_a_gateway_raises_its_alarm_while_it_lasts(
    fault: Callable[[Metrics, EventSpool], None], raised: set[str], tmp_path: Path
) -> None:
    metrics, spool = Metrics(), EventSpool(tmp_path, deliver=lambda *_: None)  # type: ignore[arg-type]
    scrapes, start = [], 1_790_000_000.0 - 1_790_000_000.0 % 3_600
    for minute in range(120):
        metrics.set_ages({"model": 60, "snapshot": 60})
        if minute < 60:
            fault(metrics, spool)
        count_answers(metrics, "live", 20)
        metrics.set_spool(spool)
        scrapes.append((start + minute * 60, metrics.text().decode()))
    series = series_of_scrapes(scrapes, Names(Deployment()).base)
    watched = [alarm for alarm in alarms(Deployment()) if alarm.namespace == GATEWAY]
    at = {hour: {each.name for each in watched if is_raised(each, series, start + hour * 3_600)} for hour in (1, 2)}
    assert at == {1: raised, 2: set()}


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda each: f"{each.stage}-{each.size_name}")
def test_no_policy_has_a_star_without_a_reason_and_no_action_has_one(deployment: Deployment) -> None:
    granted = {
        **{name: role.statements for name, role in roles(deployment).items()},
        "snowflake": snowflake_statements(deployment),
        "deploy": delivery_statements(deployment),
    }
    for name, statements in granted.items():
        for statement in statements:
            assert not any("*" in action for action in statement.actions), name
            assert statement.why or not any("*" in resource for resource in statement.resources), name


def test_each_process_may_use_what_its_settings_name_and_no_other_secret() -> None:
    granted = json.dumps(documents(Deployment()))
    assert DATA_KEY in granted
    secrets = {
        name: {
            resource.rpartition("/")[2].removesuffix("-??????")
            for statement in role.statements
            if "secretsmanager:GetSecretValue" in statement.actions
            for resource in statement.resources
        }
        for name, role in roles(Deployment()).items()
    }
    assert {name: found for name, found in secrets.items() if found} == {
        "code-server": {"platform"},
        "run": {"platform"},
        "gateway": {"gateway"},
        "execution": {"dagster-database", "mlflow-database"},
        "notebooks": {"notebooks"},
    }


def test_each_process_may_use_the_files_of_routing_that_it_reads_and_writes(tmp_path: Path) -> None:
    settings = load_settings({"RECSYS_HOME": str(tmp_path), "RECSYS_ROUTING_PARAMETERS": Names(Deployment()).routing})
    store = ParametersAskedFor()
    routing_of(settings, store).refresh()
    read, written = frozenset(store.names), {"code-server": {CANARY_STATE}, "run": {CANARY_STATE, EXPERIMENTS}}
    assert {EXPERIMENTS, CANARY_STATE} < read
    readers = dict.fromkeys(("gateway", "code-server", "run"), read) | {"notebooks": {EXPERIMENTS}}
    assert {name: _routing_files(name, "ssm:GetParameter") for name in roles(Deployment())} == {
        name: readers.get(name, set()) for name in roles(Deployment())
    }
    assert {name: _routing_files(name, "ssm:PutParameter") for name in roles(Deployment())} == {
        name: written.get(name, set()) for name in roles(Deployment())
    }


class ParametersAskedFor:
    """A store without any parameter, which notes the names that it is asked for."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def text_of(self, name: str) -> str | None:
        self.names.append(name)
        return None


def _routing_files(process: str, action: str) -> set[str]:
    statements = [each for each in roles(Deployment())[process].statements if action in each.actions]
    prefix = Names(Deployment()).arn("ssm", f"parameter{Names(Deployment()).routing}/")
    resources = {each for statement in statements for each in statement.resources}
    assert all(each.startswith(prefix) for each in resources)
    return {each.removeprefix(prefix) for each in resources}


def test_only_people_of_data_see_curated_tables_and_nobody_there_sees_the_landing() -> None:
    for process in ("redshift", "notebooks", "spark"):
        resources = [each for statement in roles(Deployment())[process].statements for each in statement.resources]
        assert not any(LANDING in each or each.endswith("/hub/*") for each in resources), process


def token(claims: dict[str, Any]) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"head.{body}.signature"


def decision(header: str | None) -> str:
    event = {
        "methodArn": "arn:aws:execute-api:eu-central-1:1:api/live/GET/v1/popular",
        "headers": {"Authorization": header} if header else None,
    }
    (statement,) = authoriser.handler(event, None)["policyDocument"]["Statement"]
    assert statement["Resource"] == "arn:aws:execute-api:eu-central-1:1:api/live/*"
    return str(statement["Effect"])


def test_the_authoriser_lets_keys_and_current_tokens_of_the_issuer_through(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(os.environ, "ISSUER", "https://issuer")
    soon = time.time() + 600
    assert decision(f"Bearer {keys.KeyStore(tmp_path, 'aws').create('an app')[1]}") == "Allow"
    assert decision(f"bearer {token({'iss': 'https://issuer', 'exp': soon})}") == "Allow"
    refused = [
        None,
        "",
        "Bearer",
        "Bearer rk_aws_0123",
        "Basic YTpi",
        f"Bearer {token({'iss': 'https://other', 'exp': soon})}",
        f"Bearer {token({'iss': 'https://issuer', 'exp': soon - 1_200})}",
        f"Bearer {token({'iss': 'https://issuer', 'exp': 'soon'})}",
        "Bearer a.%%%.c",
    ]
    assert {decision(each) for each in refused} == {"Deny"}


def test_the_authoriser_fits_into_a_template() -> None:
    assert len(Path(authoriser.__file__).read_text()) <= 4_096


@pytest.mark.parametrize(("size", "events"), [("small", "10M"), ("medium", "100M"), ("large", "1B")])
def test_budgets_are_a_fifth_to_a_half_above_the_sizing(size: Any, events: str) -> None:
    found = monthly_cost(parse_events(events), read_prices())
    assert found.size == size
    by_part = {line.part: line.usd for line in found.lines}
    of_aws = found.usd - 1.1 * by_part["Snowflake"]  # with its share of what is not listed
    measured = sum(
        by_part[part] for part in ("storage", "Snowflake", "loads", "training and lists", "API Gateway and WAF")
    )
    budgets = Deployment("prod", size).size
    assert 1.2 <= budgets.aws_budget / of_aws <= 1.5
    assert 1.2 <= budgets.platform_budget / measured <= 1.5


def test_the_sizing_prices_what_is_deployed() -> None:
    for plan in PLANS:
        size = Deployment("prod", plan.size).size  # type: ignore[arg-type]
        assert (plan.gateway_vcpu, plan.gateway_gb) == (size.gateway_cpu / 1024, size.gateway_memory / 1024)
        assert (plan.gateways, plan.nat_gateways) == (size.gateway_tasks[0], size.nat_gateways)
        assert (plan.database, plan.database_gib) == (size.database, size.database_gib)
        assert plan.cache == size.cache.removeprefix("cache.")
        if plan.model_hosts:
            assert (plan.model_hosts, size.model_instance) == (2 * size.model_instances[0], "ml.c5.2xlarge")
