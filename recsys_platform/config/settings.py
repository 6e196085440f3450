"""The validated settings. Environment variables are read here, once, and nowhere else.

Belongs here: names, types, defaults and checks of settings, and paths derived from them. Does not: building what they name
(factories.py), model parameters.
"""

import difflib
import os
import re
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Literal

from pydantic import (
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    HttpUrl,
    PrivateAttr,
    SecretStr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from recsys_platform.common.errors import SettingsError
from recsys_platform.hub.factory import is_s3_url

PREFIX = "RECSYS_"
PLACES = ("RECSYS_PARAMETERS", "RECSYS_SECRET")
"""Variables that name the source of further settings in AWS: a path in SSM Parameter Store, a secret in Secrets Manager."""
DAGSTER_HOME = "DAGSTER_HOME"
"""Dagster's own variable: in production all commands use the instance that it names."""
TRACES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""OpenTelemetry's own variables: traces are sent if one of them is set."""
_SECRETS = {
    "pii_salt": "give it at least 16 characters, such as the output of `openssl rand -hex 32`",
    "snowflake_private_key": "give it the text of a private key in PEM form",  # pragma: allowlist secret
    "snowflake_passphrase": "give it the passphrase of the private key",
    "alert_webhook": "give it the https:// address of an incoming webhook",
    "openlineage_key": "give it the API key of the collector",  # pragma: allowlist secret
    "redis_url": "give it an address such as rediss://user:password@host:6379/0",  # pragma: allowlist secret
}
_OF_AWS = ("hub", "snowflake_account", "snowflake_user", "snowflake_private_key", "mlflow_uri")
"""Settings that are required in the environment `aws`."""
_LIMITS = re.compile(r"free=[1-9]\d*/[1-9]\d* premium=[1-9]\d*/[1-9]\d* partner=[1-9]\d*/[1-9]\d*", re.ASCII)
_LEAST_AT_ONCE = 3
"""Requests at once of any tier: no request costs more."""
_OF_OIDC = ("oidc_issuer", "oidc_audience", "oidc_jwks_url")
"""Settings of which all are set, or none."""
_THIS_MACHINE = ("127.0.0.1", "localhost")
_REDIS = re.compile(r"rediss?://[^\s/]+(/\d*)?")
_HOST = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?|sagemaker://[a-zA-Z0-9-]{1,63}")
_SIZE = re.compile(r"\d+(\.\d+)? ?[MGT]i?B", re.ASCII | re.IGNORECASE)
_LEAST_SIZE = 500_000_000
_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w-]{1,256}", re.ASCII)
# Without TLS only to this machine: the URL gives access to the channel.
_WEBHOOK = re.compile(r"(https://[^\s/]+|http://(127\.0\.0\.1|localhost)(:\d+)?)/\S+")


class Settings(BaseModel):
    """Every setting of the platform, each set by the environment variable `RECSYS_<NAME>`."""

    # Pydantic's own message, which a traceback may show, would quote a rejected secret.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    env: Literal["local", "aws"] = Field(
        "local", description="where the platform runs: `local` is a folder and DuckDB, `aws` is S3 and Snowflake"
    )
    home: Path = Field(
        Path(".recsys"),
        validate_default=True,
        description="folder of a world: hub, warehouse, models, Dagster's state",
    )
    config_dir: Path | None = Field(
        None,
        description="folder of the YAML files of this world, such as `variants.yaml`; by default the folder `config` in `RECSYS_HOME`",
    )
    hub: str | None = Field(
        None, description="data hub in S3, `s3://bucket/prefix`; by default the folder `hub` in `RECSYS_HOME`"
    )
    hub_kms_key: str | None = Field(
        None, description="KMS key (id or ARN) that encrypts the hub in S3; by default S3's own"
    )
    site: str | None = Field(
        None,
        description="place of the pages that people read, `s3://bucket/prefix`; by default the folder `site` in `RECSYS_HOME`",
    )
    landing_queue: HttpUrl | None = Field(
        None,
        description="URL of the SQS queue that receives the hub bucket's notifications of new objects; by default the hub is listed",
    )
    users_url: HttpUrl | None = Field(None, description="JSON endpoint of user attributes")
    books_url: HttpUrl | None = Field(None, description="JSON endpoint of book attributes")
    attributes_per_page: int = Field(500, ge=1, description="records requested in one page of an attribute endpoint")
    http_timeout_seconds: float = Field(
        10, gt=0, description="timeout, in seconds, for one response of an attribute endpoint"
    )
    http_attempts: int = Field(4, ge=1, description="attempts of one request before the fetch fails")
    list_length: int = Field(20, ge=1, description="number of recommendations published for each user or book")
    feed_loss: float = Field(
        0.2,
        gt=0,
        le=1,
        description="largest loss that a snapshot of users or books may have, as a share of records or of a used field's values",
    )
    concentration_rise: float = Field(
        1.5,
        gt=1,
        description="factor by which a week's exposures or reads may be more concentrated than those of the weeks before",
    )
    pii_salt: SecretStr | None = Field(
        None,
        min_length=16,
        description="secret salt of at least 16 characters for hashes of e-mail and IP addresses; by default a random one",
    )
    rebuild_up_to_rows: int = Field(
        5_000_000,
        ge=0,
        description="rows up to which a table is rebuilt when its code changes; a larger one waits for `recsys run --all`",
    )
    duckdb_memory_limit: str = Field(
        "3GB",
        description="memory limit of DuckDB in one process, such as `4GB`; larger intermediates are spilled to disk",
    )
    duckdb_temp_limit: str = Field(
        "10GB", description="disk limit of DuckDB's spilled data, in a folder beside the warehouse"
    )
    snowflake_account: str | None = Field(None, description="account identifier, such as `myorg-myaccount`")
    snowflake_user: str | None = Field(None, description="Snowflake service user with key-pair authentication")
    snowflake_private_key: SecretStr | None = Field(None, description="secret private key of that user in PEM format")
    snowflake_passphrase: SecretStr | None = Field(None, description="secret passphrase of the key, if it has one")
    snowflake_role: str = Field("RECSYS_PLATFORM", description="role to work in")
    snowflake_warehouse: str = Field("RECSYS_TRANSFORM", description="virtual warehouse that computes")
    snowflake_database: str = Field("RECSYS", description="database that holds all schemas")
    snowflake_stage: str = Field("raw.hub", description="external stage through which Snowflake reads the hub")
    snowflake_address: HttpUrl | None = Field(
        None, description="Snowflake's URL if it is not the account's own: a private link, a test server"
    )
    glue_database: str | None = Field(
        None,
        description="Glue database in which the tables of the hub are registered; by default none",
    )
    mlflow_uri: str | None = Field(
        None,
        description="URL of the MLflow server that stores model versions; by default a SQLite file in the home, but required on AWS",
    )
    automation: Literal["on", "off"] = Field(
        "off", description="whether schedules and sensors are switched on by default"
    )
    keep_versions: int = Field(
        3,
        ge=1,
        description="number of newest versions of each variant that `recsys cleanup` keeps, besides those in use, promoted or pinned",
    )
    keep_landing_days: int | None = Field(
        None,
        ge=1,
        description="age in days at which the bucket deletes landing files, which cost nothing from then on; by default they are kept",
    )
    keep_runs_days: int = Field(30, ge=1, description="days for which Dagster's runs and logs are kept")
    keep_evaluations_days: int = Field(365, ge=1, description="days for which evaluations are kept in `ops`")
    budget_month: float | None = Field(
        None,
        gt=0,
        description="US dollars that a calendar month may cost (`recsys costs`); by default there is no budget",
    )
    budget_warn_at: float = Field(
        0.8, gt=0, le=1, description="share of the budget from which the check of `ops/cost_of_runs` warns"
    )
    budget_refuses: Literal["on", "off"] = Field(
        "off", description="whether a full rebuild that would exceed the budget is refused; else there is a warning"
    )
    alert_topic: str | None = Field(None, description="ARN of the standard SNS topic that receives alerts")
    alert_webhook: SecretStr | None = Field(
        None, description="secret URL of the incoming webhook (Slack) that receives alerts"
    )
    alert_severity: Literal["warn", "error"] = Field(
        "warn", description="lowest severity of failed checks that are reported, once each: `warn` reports all"
    )
    alert_silence_hours: int = Field(
        24, ge=1, description="hours without a landing object after which a tracker is reported as silent"
    )
    metrics: Literal["off", "emf", "otlp"] = Field(
        "off",
        description="metrics of Dagster: `emf` writes lines that CloudWatch Logs reads, `otlp` sends them by OpenTelemetry's protocol",
    )
    deployment: str = Field(
        "recsys",
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}$",
        description="name of this deployment in metrics and lineage, such as `recsys-prod`",
    )
    openlineage_url: HttpUrl | None = Field(
        None, description="URL of the OpenLineage collector that receives the lineage of runs; by default none is sent"
    )
    openlineage_key: SecretStr | None = Field(None, description="secret API key of that collector, if it needs one")
    ui_url: HttpUrl | None = Field(None, description="URL of Dagster's UI, for links to runs in alerts")
    api_limits: str = Field(
        "free=5/20 premium=50/200 partner=500/2000",
        description="limits of the recommendation API, `tier=requests a second/requests at once` for each of the three tiers",
    )
    api_origins: str | None = Field(
        None,
        pattern=r"^https?://[\w.-]+(:\d+)?( https?://[\w.-]+(:\d+)?)*$",
        description="origins of web pages that may call the API (CORS), blanks between: `https://app.example.com`",
    )

    oidc_issuer: str | None = Field(
        None, description="issuer (`iss`) of the bearer tokens that the API accepts; by default only API keys"
    )
    oidc_audience: str | None = Field(None, description="audience (`aud`) that those tokens must be for")
    oidc_jwks_url: HttpUrl | None = Field(None, description="URL of the issuer's public keys (JWKS), with https")
    oidc_roles_claim: str = Field(
        "roles",
        description="claim of the tokens that holds roles; a path such as `realm_access.roles` leads into objects",
    )
    oidc_user_claim: str = Field(
        "sub", description="claim of the tokens that holds the reader's id, for tokens with the role `reader`"
    )
    oidc_default_role: Literal["none", "reader"] = Field(
        "none",
        description="role of tokens that name none of ours; `reader` where every account of the provider is a reader's",
    )

    redis_url: SecretStr | None = Field(
        None,
        description="secret URL of a Redis that gateways share (events, sign-ins, limits, lists); by default each has its own memory",
    )
    redis_timeout_ms: int = Field(
        20, ge=1, le=10_000, description="milliseconds that a request waits for Redis before it goes on without"
    )
    event_stream: str | None = Field(
        None,
        pattern=r"^(firehose://[a-zA-Z0-9_.-]{1,64}|kinesis://[a-zA-Z0-9_.-]{1,128})$",
        description="stream that lands the API's events, `firehose://name` or `kinesis://name`; by default the hub is written",
    )
    model_hosts: str | None = Field(
        None,
        description="URLs of model hosts, blanks between, `{variant}` for a model's alias; by default the gateway runs the models",
    )

    routing_parameters: str | None = Field(
        None,
        pattern=r"^/[\w./-]+$",
        description="path in SSM Parameter Store of `experiments.yaml`, `shelves.yaml`, `shadow.yaml` and `canary.json`; else files",
    )
    canary: Literal["on", "off"] = Field(
        "off", description="whether a recipe that passes the gate goes to production by a canary; by default at once"
    )
    log_format: Literal["text", "json"] | None = Field(
        None, description="logs of servers as `text` or as `json`, a line each; by default `json` on AWS, else `text`"
    )
    access_log: float = Field(
        0,
        ge=0,
        le=1,
        description="share of the API's requests that are logged, without ids of persons: 1 for all, 0 for none",
    )

    _production: Path | None = PrivateAttr(None)
    _sends_traces: bool = PrivateAttr(False)

    @field_validator("home", "config_dir")
    @classmethod
    def _absolute_path(cls, folder: Path) -> Path:
        return folder.expanduser().resolve()

    @field_validator("hub", "site")
    @classmethod
    def _an_address(cls, place: str) -> str:
        if not is_s3_url(place):
            raise ValueError("it is not of the form s3://bucket/prefix")
        return place

    @field_validator("duckdb_memory_limit", "duckdb_temp_limit")
    @classmethod
    def _a_size(cls, size: str) -> str:
        if not _SIZE.fullmatch(size) or TypeAdapter(ByteSize).validate_python(size) < _LEAST_SIZE:
            raise ValueError("it is not a size of at least 500MB, such as 4GB")
        return size

    @field_validator("api_limits")
    @classmethod
    def _limits_of_all_tiers(cls, limits: str) -> str:
        if not _LIMITS.fullmatch(limits):
            raise ValueError("it is not of the form free=5/20 premium=50/200 partner=500/2000")
        if any(int(each.rpartition("/")[2]) < _LEAST_AT_ONCE for each in limits.split()):
            raise ValueError(f"a tier needs at least {_LEAST_AT_ONCE} requests at once: a home page costs as many")
        return limits

    @field_validator("landing_queue")
    @classmethod
    def _of_a_bucket(cls, queue: HttpUrl, given: ValidationInfo) -> HttpUrl:
        if not given.data.get("hub"):
            raise ValueError(
                "only a bucket sends notifications to a queue: set RECSYS_HUB to s3://bucket/prefix as well"
            )
        return queue

    @model_validator(mode="after")
    def _check_aws_settings(self) -> "Settings":
        missing = next((name for name in _OF_AWS if self.env == "aws" and getattr(self, name) is None), None)
        if missing:
            what = str(Settings.model_fields[missing].description).partition(";")[0]
            raise ValueError(f"{PREFIX}{missing.upper()} is missing, which RECSYS_ENV=aws needs: {what}")
        return self

    @field_validator("model_hosts")
    @classmethod
    def _http_addresses(cls, hosts: str) -> str:
        if not hosts.split() or not all(map(_HOST.fullmatch, hosts.split())):
            raise ValueError(
                "it is not a list of addresses (http://, https:// or sagemaker://endpoint) with blanks between"
            )
        return hosts

    @field_validator("redis_url")
    @classmethod
    def _a_redis(cls, url: SecretStr) -> SecretStr:
        if not _REDIS.fullmatch(url.get_secret_value()):
            raise ValueError("it is not an address of Redis")
        return url

    @field_validator("oidc_jwks_url")
    @classmethod
    def _only_with_tls(cls, url: HttpUrl) -> HttpUrl:
        if url.scheme != "https" and url.host not in _THIS_MACHINE:
            raise ValueError("it is not an https:// address")
        return url

    @model_validator(mode="after")
    def _check_oidc_settings(self) -> "Settings":
        given = [name for name in _OF_OIDC if getattr(self, name) is not None]
        missing = next((name for name in _OF_OIDC if given and name not in given), None)
        if missing:
            raise ValueError(f"{PREFIX}{missing.upper()} is missing, which {PREFIX}{given[0].upper()} needs")
        return self

    @field_validator("alert_topic")
    @classmethod
    def _a_standard_topic(cls, topic: str) -> str:
        if not _TOPIC.fullmatch(topic):
            raise ValueError("it is not of the form arn:aws:sns:region:account:name, a standard topic")
        return topic

    @field_validator("alert_webhook")
    @classmethod
    def _goes_encrypted(cls, webhook: SecretStr) -> SecretStr:
        if not _WEBHOOK.fullmatch(webhook.get_secret_value()):
            raise ValueError("it is not an https:// address")
        return webhook

    @property
    def form_of_logs(self) -> Literal["text", "json"]:
        """How servers write their logs."""
        return self.log_format or ("json" if self.env == "aws" else "text")

    @property
    def sends_traces(self) -> bool:
        """Whether an endpoint for traces is set; OpenTelemetry itself reads its variables."""
        return self._sends_traces

    @property
    def plain_salt(self) -> str | None:
        """The salt of hashes itself, None where the warehouse has made up its own: for those who hash, never for a message."""
        return self.pii_salt.get_secret_value() if self.pii_salt else None

    @property
    def hub_place(self) -> str | Path:
        """The location of the data hub: a folder, or `s3://bucket/prefix`."""
        return self.hub or self.home / "hub"

    @property
    def config_folder(self) -> Path:
        """The folder of the files that people edit for this world; a file that is not there has its default."""
        return self.config_dir or self.home / "config"

    @property
    def warehouse_path(self) -> Path:
        """The DuckDB file."""
        return self.home / "warehouse.duckdb"

    @property
    def analytics_path(self) -> Path:
        """The DuckDB file with a copy of marts and published lists, readable while a run is writing the warehouse."""
        return self.home / "analytics.duckdb"

    @property
    def warehouse_place(self) -> str | Path:
        """The location of the warehouse: a file, or a database in a Snowflake account."""
        return self.warehouse_path if self.env == "local" else f"{self.snowflake_account}/{self.snowflake_database}"

    @property
    def serving_root(self) -> Path:
        """The folder of the recommendation API: snapshots, artifacts, keys, events that are still to be delivered."""
        return self.home / "serving"

    @property
    def models_root(self) -> Path:
        """The folder of the model registry: MLflow's database and artifacts, or a local copy of a server's."""
        return self.home / "models"

    @property
    def truth_root(self) -> Path:
        """The folder of a simulated world's ground truth; the pipeline never reads it."""
        return self.home / "truth"

    @property
    def dagster_home(self) -> Path:
        """The folder of `dagster.yaml`: production's, or the world's own."""
        return self._production or self.own_dagster_home

    @property
    def own_dagster_home(self) -> Path:
        """The world's own Dagster folder, with its runs, events and schedules."""
        return self.home / "dagster"


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment; raises `SettingsError` for the first unknown or invalid variable.

    Settings that are not in the environment are read from AWS, if `RECSYS_PARAMETERS` or `RECSYS_SECRET` is set.
    """
    environ = os.environ if environ is None else environ
    given = {name: value for name, value in environ.items() if name.startswith(PREFIX)}
    _refuse_empty(given)
    given, hidden = _with_those_kept_in_aws(given)
    _refuse_empty(given)
    _refuse_unknown(given)
    try:
        found = Settings.model_validate({name.removeprefix(PREFIX).lower(): value for name, value in given.items()})
    except ValidationError as error:
        raise SettingsError(_first_problem(error, hidden)) from error
    if found.env == "aws" and environ.get(DAGSTER_HOME):
        found._production = Path(environ[DAGSTER_HOME])
    found._sends_traces = any(environ.get(name) for name in TRACES)
    return found


def _with_those_kept_in_aws(given: Mapping[str, str]) -> tuple[dict[str, str], set[str]]:
    """Add the settings kept in AWS: the environment overrides the secret, which overrides the parameters.

    Also returns the names of secret values.
    """
    own = dict(given)
    path, secret = (own.pop(name, None) for name in PLACES)
    if not (path or secret):
        return own, set()
    from recsys_platform.config.aws_sources import parameters, secrets

    kept = (parameters(path) if path else {}) | (secrets(secret) if secret else {})
    found = {f"{PREFIX}{name.upper()}": value for name, value in kept.items()}
    texts = {name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in found.items()}
    return texts | own, {name for name, value in found.items() if isinstance(value, SecretStr)} - own.keys()


def _refuse_empty(given: Mapping[str, str]) -> None:
    empty = sorted(name for name, value in given.items() if not value)
    if empty:
        raise SettingsError(f"{empty[0]} is empty: give it a value or unset it.")


def _refuse_unknown(given: Mapping[str, str]) -> None:
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for name in sorted(set(given) - set(known)):
        close = difflib.get_close_matches(name, [other for other in (*known, *PLACES) if other != name], n=1, cutoff=0)
        raise SettingsError(f"Unknown setting {name}: did you mean {close[0]}? Known are {', '.join(known)}.")


def _first_problem(error: ValidationError, hidden: Container[str]) -> str:
    """A sentence about the first invalid setting; the value is quoted unless it is a secret."""
    first = error.errors()[0]
    if not first["loc"]:
        return first["msg"].removeprefix("Value error, ") + "."
    field = str(first["loc"][0])
    name = PREFIX + field.upper()
    if field in _SECRETS:
        return f"{name} is not valid: {_SECRETS[field]}."
    reason = first["msg"].removeprefix("Value error, ")
    value = "" if name in hidden else f"={first['input']!r}"
    return f"{name}{value} is not valid: {reason[0].lower()}{reason[1:]}."
