"""How long experiments take on DuckDB: the read-out, and their marts when one more day arrives; used by experiments.py.

`readout_seconds_10m`: seconds of CPU, of all threads, to read an experiment from its marts: a million answers of ten books each
(10 million exposures) and a million events, of 243,000 readers in 29 days, half of them before the experiment; all metrics, each day
of 14, all segments. `readout_marts_10m`: dbt makes these marts from nothing. `readout_day_1x`, `readout_day_10x`: dbt adds one more
day to them, after a history of a fifth of that and after one ten times as long, and `readout_day_ratio` is the quotient. The history
before the experiment is of no experiment; `readout_day_ratio_of_ten`: it is of nine earlier experiments. CPU, since the machine may
be busy; that of dbt itself is in all of them.
"""

import datetime as dt
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from measure import cpu_seconds, show

from recsys_platform.config.dbt_profile import variables_for_dbt
from recsys_platform.config.settings import load_settings
from recsys_platform.defs.transform.project import DBT, ROOT
from recsys_platform.experiments.assignment import Experiment
from recsys_platform.experiments.definitions import parse_experiments
from recsys_platform.experiments.metric_days import METRICS
from recsys_platform.experiments.readouts import read_experiment
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

DAYS, START = 29, dt.date(2026, 11, 2)
MODELS = ("staff_readers", "fct_experiment_assignments", "fct_experiment_metrics", "rpt_experiment_daily")
PARENTS = ("fct_events", "fct_recommendation_requests", "fct_sessions", "int_visitor_days")
_TABLES = """
    create table marts.fct_recommendation_requests (request_id varchar, event_id varchar, user_id varchar, visitor_id varchar,
        unit_id varchar, session_id varchar, surface varchar, model varchar, model_version varchar, experiment varchar,
        variant varchar, answer_source varchar, books bigint, clicks bigint, books_clicked_in_time bigint, is_bot boolean,
        is_empty boolean, shown_on date, shown_at timestamp);
    create table marts.fct_events (visitor_id varchar, event_name varchar, is_bot boolean, occurred_on date, occurred_at timestamp);
    create table marts.fct_payments (visitor_id varchar, event_name varchar, amount_base decimal(18, 4), is_bot boolean, paid_on date,
        paid_at timestamp);
    create table marts.fct_sessions (session_id varchar, platform varchar);
    create table marts.dim_users_history (user_id varchar, tier varchar, language varchar, valid_from date, valid_to date);
    create table intermediate.int_visitor_days (visitor_id varchar, events bigint, occurred_on date);
    create table intermediate.int_event_sessions (event_id varchar, visitor_id varchar, occurred_on date, changed_to timestamp);
    """
_FILL = """
    create or replace temp table happened as
    select
        i, 'u' || reader as visitor_id, reader, hash(i + 1) % 1000003 as chance,
        timestamp '{first}' + to_days(day::integer) + to_seconds((hash(i + 3) % 86400)::bigint) as moment,
        case when day < {quiet} then '{before}' || case when '{before}' = 'none' then '' else (day // 29)::varchar end
            when day < {days} - 15 then 'none' else 'trial' end as experiment
    from (select i, hash(i) % {readers} as reader, hash(i + 2) % {days} as day from range({number}) numbers(i));
    insert into marts.fct_recommendation_requests
    select 'r' || chance, 'e' || i, visitor_id, visitor_id, visitor_id, visitor_id || moment::date, 'home', 'popularity', 'v1',
        experiment, case when experiment = 'none' then 'none' when reader % 2 = 0 then 'control' else 'treatment' end,
        'live', 10, chance % 3, chance % 3, false, chance % 50 = 0, moment::date, moment
    from happened order by moment::date;
    insert into marts.fct_events
    select visitor_id, ['Book Started', 'Book Finished', 'Book Saved'][(chance % 3)::integer + 1], false,
        (moment + interval 1 minute)::date, moment + interval 1 minute
    from happened order by moment::date;
    insert into marts.fct_payments
    select visitor_id, 'Subscription Started', 9.99, false, moment::date, moment from happened where chance % 40 = 0;
    insert into marts.fct_sessions select distinct visitor_id || moment::date, ['ios', 'android', 'web'][(reader % 3)::integer + 1]
    from happened;
    insert into intermediate.int_visitor_days
    select visitor_id, count(*), moment::date from happened group by visitor_id, moment::date;
    insert into intermediate.int_event_sessions select visitor_id || moment, visitor_id, moment::date, timestamp '{loaded_to}'
    from happened order by moment::date;
    delete from ops.model_builds where model in {parents};
    insert into ops.model_builds select unnest({parents}), 'any', timestamp '{loaded_to}';
    """
_HISTORY = """insert into marts.dim_users_history
    select 'u' || i, ['free', 'premium'][(i % 2 + 1)::integer], ['en', 'de', 'fr'][(i % 3 + 1)::integer], date '2020-01-01', null
    from range({readers}) numbers(i)"""


@dataclass(frozen=True)
class _World:
    """A warehouse that has what the marts of experiments are made of. `before`: the name of earlier experiments, or none."""

    home: Path
    answers: int
    readers: int
    days: int = DAYS
    before: str = "none"

    def prepare(self) -> "_World":
        """History, of which the last half month is of the experiment, and the parsed dbt project."""
        self.home.mkdir(parents=True)
        self.warehouse.prepare()
        with self.warehouse.connect() as connection:
            for schema in ("staging", "intermediate", "marts"):
                connection.execute(f"create schema if not exists {schema}")
            connection.execute(_TABLES)
            connection.execute(_HISTORY.format(readers=self.readers))
        first = START + dt.timedelta(days=15 - self.days)
        self._fill(first, self.answers, self.days, "2026-11-17 01:00:00")
        self._dbt("parse")
        return self

    @property
    def warehouse(self) -> DuckDBWarehouse:
        """The DuckDB file."""
        return DuckDBWarehouse(self.home / "warehouse.duckdb")

    def add_day(self) -> None:
        """One more day of the experiment."""
        answers = self.answers // self.days
        self._fill(START + dt.timedelta(days=15), answers, 1, "2026-11-18 01:00:00")

    def build(self) -> None:
        """The marts of experiments, with what is new."""
        self._dbt("run", "--select", *MODELS) if (self.home / "seeded").exists() else self._dbt(
            "build", "--select", *MODELS
        )
        (self.home / "seeded").touch()

    def _fill(self, first: dt.date, number: int, days: int, loaded_to: str) -> None:
        values = {"first": first, "number": number, "days": days, "readers": self.readers, "loaded_to": loaded_to}
        quiet = days - 29 if days > 29 else 0
        with self.warehouse.connect() as connection:
            connection.execute(_FILL.format(**values, quiet=quiet, before=self.before, parents=list(PARENTS)))

    def _dbt(self, *words: str) -> None:
        variables = variables_for_dbt(load_settings({"RECSYS_HOME": str(self.home)}))
        folders = {f"DBT_{name}_PATH": str(self.home / "target") for name in ("TARGET", "LOG")}
        environment = {**os.environ, **variables, **folders}
        subprocess.run([str(DBT), "--quiet", *words], cwd=ROOT, env=environment, check=True)


def readout_figures() -> dict[str, float]:
    """Seconds of CPU of the read-out and of its marts, and the ratios."""
    with tempfile.TemporaryDirectory() as folder:
        world = _World(Path(folder) / "read", 1_000_000, 243_000).prepare()
        marts = cpu_seconds(world.build)
        seconds = cpu_seconds(lambda: _read(world.warehouse))
        some = {"1x": (1, "none"), "10x": (10, "none"), "of_ten": (10, "earlier_")}
        day = {name: _day_seconds(Path(folder) / name, times, before) for name, (times, before) in some.items()}
    return {
        "readout_seconds_10m": seconds,
        "readout_marts_10m": marts,
        "readout_day_1x": day["1x"],
        "readout_day_10x": day["10x"],
        "readout_day_ratio": day["10x"] / day["1x"],
        "readout_day_ratio_of_ten": day["of_ten"] / day["1x"],
    }


def _day_seconds(home: Path, times: int, before: str) -> float:
    world = _World(home, 200_000 * times, 48_600, DAYS * times, before).prepare()
    world.build()
    world.add_day()
    return cpu_seconds(world.build)


def _read(warehouse: DuckDBWarehouse) -> None:
    report = read_experiment(warehouse, _experiment())
    if report.result is None or len(report.days) != 14 or not report.segments:
        raise RuntimeError(f"the experiment was not read: {report.why_nothing}")


def _experiment() -> Experiment:
    guardrails = {name: 0.1 for name in METRICS if name not in ("ctr", "clicks")}
    plan = {"starts_on": START, "days": 14, "primary": {"ctr": 0.02, "clicks": 0.02}, "guardrails": guardrails}
    variants = {name: {"model": "production", "weight": 50} for name in ("control", "treatment")}
    (found,) = parse_experiments({"trial": {"variants": variants, "surfaces": ["home"], "plan": plan}})
    return found


if __name__ == "__main__":
    show(readout_figures(), {}, as_json=False)
