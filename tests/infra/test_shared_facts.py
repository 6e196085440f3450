"""What infra/ says about the platform is what the platform does. Templates themselves are tested by `make infra`, which needs Node."""

import base64
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from infra import authoriser
from infra.alarms import GATEWAY, alarms
from infra.api import ENDPOINTS
from infra.deployment import SIZE_NAMES, STAGES, Deployment
from infra.names import DATA_KEY, Names
from infra.permissions import delivery_statements, documents, roles, snowflake_statements
from infra.settings import API_LIMITS, KNOWN_ON_DEPLOYMENT, SECRETS, limits_text, parameters
from recsys_platform.config.settings import PREFIX, Settings, load_settings
from recsys_platform.config.world_files import EXPERIMENTS
from recsys_platform.hub.layout import LANDING
from recsys_platform.serving.gateway import keys
from recsys_platform.serving.routing_files import CANARY_STATE, routing_of

ROOT = Path(__file__).parents[2]
DEPLOYMENTS = [Deployment(stage, size) for stage in STAGES for size in SIZE_NAMES]
WITHOUT_KEY = ("/healthz", "/readyz", "/metrics")


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
        "recsys_answers_total": {"live", "published", "popular", "none"},
        "recsys_spool": {"dropped"},
        "recsys_destination": {"dead"},
        "recsys_destination_waiting": {"oldest_seconds"},
        "recsys_served_age_seconds": {"model", "snapshot"},
        "recsys_requests_total": {"500"},
    }
    for alarm in alarms(Deployment()):
        if alarm.namespace == GATEWAY and alarm.dimensions:
            assert set(alarm.dimensions.values()) <= values[alarm.metric], alarm.name


def test_every_alarm_has_a_chapter_in_the_runbook() -> None:
    headings = re.findall("^### (.+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(alarm.name for alarm in alarms(Deployment()))


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
    }


def test_each_process_may_use_the_files_of_routing_that_it_reads_and_writes(tmp_path: Path) -> None:
    settings = load_settings({"RECSYS_HOME": str(tmp_path), "RECSYS_ROUTING_PARAMETERS": Names(Deployment()).routing})
    store = ParametersAskedFor()
    routing_of(settings, store).refresh()
    read, written = frozenset(store.names), {"code-server": {CANARY_STATE}, "run": {CANARY_STATE, EXPERIMENTS}}
    assert {EXPERIMENTS, CANARY_STATE} < read
    assert {name: _routing_files(name, "ssm:GetParameter") for name in roles(Deployment())} == {
        name: read if name in ("gateway", "code-server", "run") else set() for name in roles(Deployment())
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
