"""How long the read-out of one experiment takes on DuckDB, used by experiments.py.

A million answers of ten books each (10 million exposures) and a million events, of 243,000 readers in 29 days, half of them before the
experiment; all six metrics, each day of 14. Seconds of CPU, of all threads: the machine may be busy.
"""

import datetime as dt
import tempfile
import time
from pathlib import Path

from recsys_platform.experiments.assignment import Experiment
from recsys_platform.experiments.definitions import parse_experiments
from recsys_platform.experiments.readouts import read_experiment
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

ANSWERS, READERS, DAYS, START = 1_000_000, 243_000, 29, dt.date(2026, 11, 2)
_NUMBERS = f"""
    select
        hash(i) % {READERS} as reader, hash(i + 1) % 1000003 as chance,
        timestamp '2026-10-19' + to_days((hash(i + 2) % {DAYS})::integer) + to_seconds((hash(i + 3) % 86400)::bigint) as happened_at
    from range({ANSWERS}) numbers(i)"""
_TABLES = (
    f"""create table marts.fct_recommendation_requests as
    select
        'u' || reader as visitor_id, 'home' as surface, 'trial' as experiment,
        case when reader % 2 = 0 then 'control' else 'treatment' end as variant,
        10 as books, (chance % 3)::bigint as clicks, (chance % 3)::bigint as clicked_books,
        false as is_bot, chance % 50 = 0 as is_empty, happened_at::date as shown_on, happened_at as shown_at
    from ({_NUMBERS}) order by shown_on""",
    f"""create table marts.fct_events as
    select
        'u' || reader as visitor_id,
        ['Book Started', 'Book Finished', 'Book Saved'][(chance % 3)::integer + 1] as event_name,
        false as is_bot, happened_at::date as occurred_on, happened_at as occurred_at
    from ({_NUMBERS}) order by occurred_on""",
)


def readout_figures() -> dict[str, float]:
    """Seconds of CPU of the read-out."""
    with tempfile.TemporaryDirectory() as folder:
        warehouse = DuckDBWarehouse(Path(folder) / "warehouse.duckdb")
        warehouse.prepare()
        with warehouse.connect() as connection:
            for statement in _TABLES:
                connection.execute(statement)
        started = time.process_time()
        report = read_experiment(warehouse, _experiment())
        seconds = time.process_time() - started
    if report.result is None or len(report.days) != 14:
        raise RuntimeError(f"the experiment was not read: {report.why_nothing}")
    return {"readout_seconds_10m": seconds}


def _experiment() -> Experiment:
    guardrails = dict.fromkeys(("starts", "finishes", "saves", "empty_answers"), 0.1)
    plan = {"starts_on": START, "days": 14, "primary": {"ctr": 0.02, "clicks": 0.02}, "guardrails": guardrails}
    variants = {name: {"model": "production", "weight": 50} for name in ("control", "treatment")}
    (found,) = parse_experiments({"trial": {"variants": variants, "surfaces": ["home"], "plan": plan}})
    return found
