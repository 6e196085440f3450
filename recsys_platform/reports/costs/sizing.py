"""What a month of the platform costs on AWS and Snowflake at a number of events a day, and what Amazon Personalize asks for.

Belongs here: assumptions and arithmetic. Does not: prices (dbt's seed `prices`), resources (infra/, whose sizes a test holds equal to
those here).

Figures are measured where docs/benchmarks.md has them, and grow linearly with events and readers; a bill has more lines.
"""

import csv
import datetime as dt
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from recsys_platform.common.errors import InputError
from recsys_platform.transform.dbt import ROOT

HOURS, DAYS = 730, 30
GB, TB = 1024**3, 1024**4
_NUMBERS = re.compile(r"(\d+(?:\.\d+)?)([kKmMbB]?)", re.ASCII)
_FACTORS = {"": 1, "k": 1_000, "m": 1_000_000, "b": 1_000_000_000}


@dataclass(frozen=True)
class Assumptions:
    """What a month depends on beside the number of events. Bytes and seconds are of one record or reader.

    From the demo's world (2,000 readers, 30 days, 230,622 records) are the bytes and the events of a reader; from
    docs/benchmarks.md the CPU of loads, of live answers and of training a large world.
    """

    sent_bytes: int = 560
    landed_bytes: int = 73
    """A record in a gzip object."""
    warehouse_bytes: int = 360
    """A record in all tables together."""
    events_of_reader: float = 3.8
    """Events a day ÷ readers active in a month."""
    answers_of_event: float = 0.1
    """Answers of the API for each event."""
    records_of_cpu_second: int = 150_000
    """Records that a load validates in a second of CPU."""
    cpu_seconds_of_reader: float = 0.00815
    """CPU of training, evaluation and publishing each day: 1,222 seconds of two cores for 300,000 readers."""
    gb_of_vcpu: int = 8
    """Memory beside each vCPU of a run."""
    cpu_ms_of_answer: float = 0.9
    """CPU of a live answer: 0.25 hours a million."""
    peak: float = 4
    """Requests in the busiest second ÷ mean of the day."""
    utilisation: float = 0.4
    """Share of the gateways' CPU in use in that second."""
    credits_of_million: float = 0.06
    """Credits of Snowflake to build a day of a million events, once a day, beside ten billion events of history."""
    loads_a_day: int = 96
    minutes_of_load: int = 2
    """The warehouse (XSMALL, one credit an hour) works a minute and is suspended after another."""
    stored_days: int = 365
    """The month is that after a year."""
    trainings_of_personalize: int = 4
    """Full trainings a month."""
    trained_interactions: int = 3_000_000_000
    """Interactions that a training reads at most; each event of 90 days is one."""


@dataclass(frozen=True)
class Plan:
    """The always-on parts of a size of `infra/deployment.py`."""

    size: str
    most_events: float
    gateway_vcpu: int
    gateway_gb: int
    gateways: int
    database: str
    database_gib: int
    cache: str
    nat_gateways: int
    model_hosts: int


PLANS = (
    Plan("small", 30e6, 1, 4, 3, "t4g.medium", 50, "t4g.small", 1, 0),
    Plan("medium", 300e6, 2, 8, 3, "m7g.large", 200, "m7g.large", 3, 0),
    Plan("large", math.inf, 4, 16, 6, "m7g.2xlarge", 500, "r7g.xlarge", 3, 6),
)
"""By the most events a day; model hosts, of champion and challenger, serve the API of size large alone."""
_SERVICES = (4.5, 18)
"""vCPU and GB of code server, daemon, two web servers and two of MLflow together."""
_MLFLOW_DATABASE = "t4g.medium"
_CACHE_NODES, _BALANCERS = 3, 2
_OTHERS = 0.1
"""Logs, metrics, keys, backups, traffic and what is not listed, as a share of all that is."""


@dataclass(frozen=True)
class CostLine:
    """A part of the bill. `how`: its main quantities. `is_recommender`: whether Personalize would take its place."""

    part: str
    usd: float
    how: str
    is_recommender: bool = False


@dataclass(frozen=True)
class MonthlyCost:
    """A month at a number of events a day, in US dollars."""

    events_a_day: int
    size: str
    lines: tuple[CostLine, ...]
    personalize: tuple[CostLine, ...]

    @property
    def usd(self) -> float:
        """The whole platform."""
        return sum(line.usd for line in self.lines)

    @property
    def recommender_usd(self) -> float:
        """Models, lists and the API."""
        return sum(line.usd for line in self.lines if line.is_recommender)

    @property
    def personalize_usd(self) -> float:
        """Amazon Personalize, for models and lists alone."""
        return sum(line.usd for line in self.personalize)


class Prices:
    """US dollars by resource."""

    def __init__(self, usd: Mapping[str, float]) -> None:
        self._usd = usd

    def cost(self, **quantities: float) -> float:
        """The sum of quantities × prices, by resource; `__` in a name stands for a dot."""
        return sum(quantity * self._usd[name.replace("__", ".")] for name, quantity in quantities.items())


def read_prices(on: dt.date | None = None, *, path: Path = ROOT / "seeds" / "prices.csv") -> Prices:
    """The prices of the seed that hold on a day, by default the newest."""
    until, found = str(on or dt.date.max), dict[str, float]()
    with path.open(encoding="utf-8", newline="") as file:
        for row in sorted(csv.DictReader(file), key=lambda row: row["valid_from"]):
            if row["valid_from"] <= until:
                found[row["resource"]] = float(row["usd"]) / int(row["per"])
    return Prices(found)


def parse_events(text: str) -> int:
    """A number of events such as `10M`, `2.5B` or `250000`. Raises `InputError`.

    >>> parse_events("10M"), parse_events("1b")
    (10000000, 1000000000)
    """
    found = _NUMBERS.fullmatch(text)
    number = float(found[1]) * _FACTORS[found[2].lower()] if found else 0
    if number < 1:
        raise InputError(f"{text!r} is no number of events a day: give it as 10M, 100M or 1B.")
    return int(number)


def monthly_cost(events_a_day: int, prices: Prices, assumed: Assumptions | None = None) -> MonthlyCost:
    """A month of the platform a year after its start, by part, and Amazon Personalize's list price for the same traffic."""
    assumed = assumed or Assumptions()
    plan = next(plan for plan in PLANS if events_a_day <= plan.most_events)
    listed = (
        _stream_line(events_a_day, prices, assumed),
        _storage_line(events_a_day, prices, assumed),
        _warehouse_line(events_a_day, prices, assumed),
        _loads_line(events_a_day, prices, assumed),
        _training_line(events_a_day, prices, assumed),
        _platform_line(plan, prices),
        _gateways_line(events_a_day, plan, prices, assumed),
        _requests_line(events_a_day, prices, assumed),
    )
    others = CostLine("all others", _OTHERS * sum(line.usd for line in listed), f"{_OTHERS:.0%} of the lines above")
    return MonthlyCost(
        events_a_day, plan.size, (*listed, others), tuple(_personalize_lines(events_a_day, prices, assumed))
    )


def _stream_line(events: int, prices: Prices, assumed: Assumptions) -> CostLine:
    kilobytes = math.ceil(assumed.sent_bytes / 1024)
    streamed = events * DAYS * kilobytes * 1024 / GB
    delivered = events * DAYS * math.ceil(kilobytes / 5) * 5 * 1024 / GB  # Firehose bills steps of 5 KB
    usd = prices.cost(kinesis_stream_hour=HOURS, kinesis_gb_in=streamed, kinesis_gb_out=streamed, firehose_gb=delivered)
    return CostLine("stream", usd, f"{streamed:,.0f} GB through Kinesis, {delivered:,.0f} GB billed by Firehose")


def _storage_line(events: int, prices: Prices, assumed: Assumptions) -> CostLine:
    landed = events * assumed.landed_bytes / GB  # a day
    recent, older = min(60, assumed.stored_days), max(assumed.stored_days - 60, 0)
    tables = events * assumed.stored_days * assumed.warehouse_bytes / TB
    usd = prices.cost(
        s3_standard_gb_month=landed * recent, s3_ia_gb_month=landed * older, snowflake_storage_tb_month=tables
    )
    return CostLine("storage", usd, f"{landed * assumed.stored_days:,.0f} GB in S3, {tables:,.1f} TB in Snowflake")


def _warehouse_line(events: int, prices: Prices, assumed: Assumptions) -> CostLine:
    loads = assumed.loads_a_day * assumed.minutes_of_load / 60
    used = DAYS * (loads + events / 1e6 * assumed.credits_of_million)
    return CostLine("Snowflake", prices.cost(snowflake_credit=used), f"{used:,.0f} credits")


def _run_cost(prices: Prices, vcpu_seconds: float, assumed: Assumptions) -> float:
    return prices.cost(fargate_vcpu_second=vcpu_seconds, fargate_gb_second=vcpu_seconds * assumed.gb_of_vcpu)


def _loads_line(events: int, prices: Prices, assumed: Assumptions) -> CostLine:
    starting = assumed.loads_a_day * 60 * 2  # a minute of a task of two vCPU
    seconds = DAYS * (starting + events / assumed.records_of_cpu_second)
    return CostLine("loads", _run_cost(prices, seconds, assumed), f"{seconds / 3600:,.0f} hours of a vCPU")


def _training_line(events: int, prices: Prices, assumed: Assumptions) -> CostLine:
    readers = events / assumed.events_of_reader
    seconds = DAYS * readers * assumed.cpu_seconds_of_reader
    how = f"{readers:,.0f} readers, {seconds / 3600:,.0f} hours of a vCPU"
    return CostLine("training and lists", _run_cost(prices, seconds, assumed), how, is_recommender=True)


def _platform_line(plan: Plan, prices: Prices) -> CostLine:
    vcpu, memory = _SERVICES
    databases = Counter([f"rds_{plan.database}_hour", f"rds_{_MLFLOW_DATABASE}_hour"])
    usd = prices.cost(
        fargate_vcpu_second=vcpu * HOURS * 3600,
        fargate_gb_second=memory * HOURS * 3600,
        nat_gateway_hour=plan.nat_gateways * HOURS,
        load_balancer_hour=_BALANCERS * HOURS,
        rds_gb_month=databases.total() * plan.database_gib,
        **{name: count * HOURS for name, count in databases.items()},
    )
    how = f"always on: databases {plan.database} and {_MLFLOW_DATABASE}, {plan.nat_gateways} NAT"
    return CostLine("Dagster, MLflow, network", usd, how)


def _gateways_line(events: int, plan: Plan, prices: Prices, assumed: Assumptions) -> CostLine:
    busiest = events * assumed.answers_of_event / 86_400 * assumed.peak
    cores = busiest * assumed.cpu_ms_of_answer / 1000 / assumed.utilisation
    gateways = max(plan.gateways, math.ceil(cores / plan.gateway_vcpu))
    usd = prices.cost(
        fargate_vcpu_second=gateways * plan.gateway_vcpu * HOURS * 3600,
        fargate_gb_second=gateways * plan.gateway_gb * HOURS * 3600,
        sagemaker_c5__2xlarge_hour=plan.model_hosts * HOURS,
        **{f"elasticache_{plan.cache}_hour": _CACHE_NODES * HOURS},
    )
    how = f"{gateways} gateways for {busiest:,.0f} requests a second, {plan.model_hosts} model hosts, Valkey"
    return CostLine("gateways", usd, how, is_recommender=True)


def _requests_line(events: int, prices: Prices, assumed: Assumptions) -> CostLine:
    answers = events * DAYS * assumed.answers_of_event
    usd = prices.cost(
        api_request=min(answers, 333e6),
        api_request_above_333m=min(max(answers - 333e6, 0), 667e6),
        api_request_above_1b=max(answers - 1e9, 0),
        waf_request=answers,
    )
    return CostLine("API Gateway and WAF", usd, f"{answers / 1e6:,.0f} million requests", is_recommender=True)


def _personalize_lines(events: int, prices: Prices, assumed: Assumptions) -> Iterator[CostLine]:
    sent = events * DAYS * assumed.sent_bytes / GB
    yield CostLine("ingestion", prices.cost(personalize_gb=sent), f"{sent:,.0f} GB")
    trained = assumed.trainings_of_personalize * min(events * 90, assumed.trained_interactions)
    yield CostLine(
        "training", prices.cost(personalize_interaction=trained), f"{trained / 1e6:,.0f} million interactions"
    )
    answers = events * DAYS * assumed.answers_of_event
    yield CostLine(
        "recommendations", prices.cost(personalize_recommendation=answers), f"{answers / 1e6:,.0f} million requests"
    )
