"""The platform's settings as this deployment has them: parameters of Parameter Store, named as the settings are.

Secrets are not here: those of SECRETS are kept in Secrets Manager, and a person or a stack writes them there.
"""

from collections.abc import Mapping
from pathlib import Path

from infra.deployment import Deployment
from infra.names import PORTS, Names

SECRETS = {
    "platform": ("pii_salt", "snowflake_private_key"),
    "gateway": ("pii_salt", "redis_url"),
    "notebooks": ("snowflake_private_key",),
}
"""Settings in the secret of the Dagster processes, in that of the gateway and in that of notebooks, which a person makes."""
STUDIO_SCRIPT = Path(__file__).with_name("studio_setup.sh")
WHEELS = "wheels"
"""The prefix in the bucket of models below which wheels of the platform are delivered, for notebooks."""
API_LIMITS = {"free": (5, 20), "premium": (50, 200), "partner": (500, 2_000)}
"""Requests a second and at once of each tier: one source for the gateway and for the usage plans before it."""
MONTHLY_REQUESTS = {"free": 100_000, "premium": 10_000_000, "partner": 1_000_000_000}
KNOWN_ON_DEPLOYMENT = ("hub_kms_key", "oidc_issuer", "oidc_audience", "oidc_jwks_url")
"""Settings whose values CloudFormation makes."""


def parameters(deployment: Deployment) -> dict[str, str]:
    """The settings that are known before anything is deployed, by the setting's name."""
    names = Names(deployment)
    return {
        "env": "aws",
        "hub": f"s3://{names.bucket('hub')}/hub",
        "site": f"s3://{names.bucket('site')}/site",
        "landing_queue": names.queue_url,
        "glue_database": names.glue_database,
        "snowflake_account": deployment.snowflake.account,
        "snowflake_user": deployment.snowflake.user,
        "mlflow_uri": f"http://{names.internal_host('mlflow')}:{PORTS['mlflow']}",
        "automation": "on",
        "alert_topic": names.arn("sns", names.of("alerts")),
        "ui_url": f"https://{names.host('dagster')}",
        "api_limits": limits_text(API_LIMITS),
        "event_stream": f"kinesis://{names.of('events')}",
        "routing_parameters": names.routing,
        "oidc_roles_claim": "cognito:groups",
        "oidc_default_role": "reader",
        "log_format": "json",
        "metrics": "emf",
        "keep_landing_days": str(deployment.keep_landing_days),
        "deployment": names.base,
        "budget_month": str(deployment.size.platform_budget),
        "budget_refuses": "on" if deployment.budget_refuses else "off",
        **_attribute_endpoints(deployment),
        **({"api_origins": " ".join(deployment.web_origins)} if deployment.web_origins else {}),
        **_model_hosts(deployment, names),
    }


def notebook_settings(deployment: Deployment) -> dict[str, str]:
    """The variables of a notebook in Studio: those of the platform, but another user and role in Snowflake, which only read."""
    names = Names(deployment)
    return {
        "AWS_DEFAULT_REGION": deployment.region,
        "RECSYS_PARAMETERS": names.parameters,
        "RECSYS_SECRET": names.secret("notebooks"),
        "RECSYS_SNOWFLAKE_USER": "RECSYS_NOTEBOOKS",
        "RECSYS_SNOWFLAKE_ROLE": "RECSYS_SCIENTIST",
        "RECSYS_SNOWFLAKE_WAREHOUSE": "RECSYS_ANALYSIS",
    }


def studio_script(deployment: Deployment) -> str:
    """What a space of Studio runs when it starts: `studio_setup.sh` with the values of this deployment before it."""
    first, _, rest = STUDIO_SCRIPT.read_text(encoding="utf-8").partition("\n")
    settings = " ".join(f"{name}={value}" for name, value in notebook_settings(deployment).items())
    wheels = f"s3://{Names(deployment).bucket('models')}/{WHEELS}"
    return f"{first}\nWHEELS='{wheels}'\nSETTINGS='{settings}'\n{rest}"


def limits_text(limits: Mapping[str, tuple[int, int]]) -> str:
    """Limits as RECSYS_API_LIMITS writes them."""
    return " ".join(f"{tier}={rate}/{at_once}" for tier, (rate, at_once) in limits.items())


def _attribute_endpoints(deployment: Deployment) -> dict[str, str]:
    """Where users and books are fetched; without them somebody delivers snapshots into the hub."""
    given = {"users_url": deployment.users_url, "books_url": deployment.books_url}
    return {name: url for name, url in given.items() if url}


def _model_hosts(deployment: Deployment, names: Names) -> dict[str, str]:
    """Models run in the gateway, where they are fastest, until one process cannot hold them beside the requests."""
    return {"model_hosts": f"sagemaker://{names.endpoint}"} if deployment.size_name == "large" else {}
