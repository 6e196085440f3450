"""What one deployment of the platform is: its stage, its size, and what only its owner knows.

Belongs here: choices and their figures. Does not: names of resources (names.py), resources (stacks/).
"""

from dataclasses import dataclass, field
from typing import Literal, get_args

Stage = Literal["dev", "prod"]
SizeName = Literal["small", "medium", "large"]
STAGES, SIZE_NAMES = get_args(Stage), get_args(SizeName)
NO_ACCOUNT = "111111111111"
"""Stands for the account where templates are only checked."""


@dataclass(frozen=True)
class Size:
    """How much of everything. Memory in MiB, CPU in units of ECS (1,024 are one core), money in US dollars a month."""

    gateway_cpu: int
    gateway_memory: int
    gateway_tasks: tuple[int, int]
    """Least and most; there is never less than one in each zone in production."""
    run_cpu: int
    run_memory: int
    database: str
    database_gib: int
    cache: str
    nat_gateways: int
    """One for each zone, or one for all where an hour without a way out is bearable."""
    model_instance: str
    model_instances: tuple[int, int]
    redshift_rpu: tuple[int, int]
    """Base and most Redshift processing units."""
    spark_cores: int
    scan_gib: int
    """What one query of Athena may read."""
    aws_budget: int
    """What the bill of AWS may be; Snowflake's is another."""
    platform_budget: int
    """What `recsys costs` may measure: runs, storage, requests and Snowflake, but nothing that is always on."""


SIZES: dict[SizeName, Size] = {
    "small": Size(
        gateway_cpu=1024,
        gateway_memory=4096,
        gateway_tasks=(3, 6),
        run_cpu=2048,
        run_memory=16384,
        database="t4g.medium",
        database_gib=50,
        cache="cache.t4g.small",
        nat_gateways=1,
        model_instance="ml.m5.large",
        model_instances=(2, 4),
        redshift_rpu=(8, 16),
        spark_cores=32,
        scan_gib=50,
        aws_budget=1_700,
        platform_budget=900,
    ),
    "medium": Size(
        gateway_cpu=2048,
        gateway_memory=8192,
        gateway_tasks=(3, 24),
        run_cpu=8192,
        run_memory=32768,
        database="m7g.large",
        database_gib=200,
        cache="cache.m7g.large",
        nat_gateways=3,
        model_instance="ml.c5.xlarge",
        model_instances=(2, 8),
        redshift_rpu=(16, 64),
        spark_cores=200,
        scan_gib=500,
        aws_budget=6_000,
        platform_budget=4_000,
    ),
    "large": Size(
        gateway_cpu=4096,
        gateway_memory=16384,
        gateway_tasks=(6, 120),
        run_cpu=16384,
        run_memory=122880,
        database="m7g.2xlarge",
        database_gib=500,
        cache="cache.r7g.xlarge",
        nat_gateways=3,
        model_instance="ml.c5.2xlarge",
        model_instances=(3, 30),
        redshift_rpu=(64, 256),
        spark_cores=1000,
        scan_gib=5_000,
        aws_budget=45_000,
        platform_budget=33_000,
    ),
}


@dataclass(frozen=True)
class Snowflake:
    """Snowflake's side of the trust; it is known after `describe integration`, so the first deployment goes without."""

    account: str = "myorg-myaccount"
    user: str = "RECSYS_PLATFORM"
    iam_user_arn: str | None = None
    external_id: str | None = None

    @property
    def is_trusted(self) -> bool:
        """Whether both sides know each other."""
        return bool(self.iam_user_arn and self.external_id)


@dataclass(frozen=True)
class Deployment:
    """One installation of the platform in one account and region."""

    stage: Stage = "prod"
    size_name: SizeName = "medium"
    account: str = NO_ACCOUNT
    region: str = "eu-central-1"
    domain: str = "recsys.example.com"
    hosted_zone_id: str = "Z0000000000000000000"
    mail: str = "recsys@example.com"
    """Receives alarms and the messages of budgets."""
    image_tag: str = "0.2.0"
    company_networks: tuple[str, ...] = ("203.0.113.0/24",)
    """Networks from which people reach Dagster's UI, before they sign in."""
    saml_metadata: str | None = None
    """URL of the metadata of the company's own sign-in."""
    web_origins: tuple[str, ...] = ()
    """Origins of web pages that may call the API (CORS)."""
    repository: str = "owner/recsys_platform"
    users_url: str | None = None
    books_url: str | None = None
    """JSON endpoints of readers and books; each day a snapshot is fetched from them."""
    budget_refuses: bool = False
    """Whether a rebuild that would exceed `platform_budget` is refused."""
    keep_landing_days: int = 1_825
    most_model_age_days: int = 7
    snowflake: Snowflake = field(default_factory=Snowflake)

    def __post_init__(self) -> None:
        """Refuse what is no stage or size."""
        if self.stage not in STAGES:
            raise ValueError(f"stage={self.stage} is unknown: use one of {', '.join(STAGES)}.")
        if self.size_name not in SIZE_NAMES:
            raise ValueError(f"size={self.size_name} is unknown: use one of {', '.join(SIZE_NAMES)}.")

    @property
    def label(self) -> str:
        """Stage and size in a word."""
        return f"{self.stage}-{self.size_name}"

    @property
    def size(self) -> Size:
        """The figures of the size."""
        return SIZES[self.size_name]

    @property
    def is_production(self) -> bool:
        """Whether data must outlive mistakes: copies in several zones, backups, nothing is deleted with its stack."""
        return self.stage == "prod"

    @property
    def zones(self) -> list[str]:
        """Three zones, named here so that no template depends on a look-up in an account."""
        return [f"{self.region}{letter}" for letter in "abc"]
