"""What `recsys canary` prints."""

import pandas as pd
from rich.console import Console
from rich.table import Table

from recsys_platform.experiments.canary import Observation
from recsys_platform.serving.rollout.figures import group_rows
from recsys_platform.serving.rollout.record import CanaryRecord

_STEPS = 10


def print_canary(out: Console, record: CanaryRecord | None, seen: Observation | None, steps: pd.DataFrame) -> None:
    """Print a canary, both groups, and the newest steps."""
    print_record(out, record)
    if seen is not None:
        print_traffic(out, seen)
    if len(steps):
        table = Table("time (UTC)", "canary", "model", "percent", "status", "by", "reason", box=None)
        for row in steps.tail(_STEPS).itertuples():
            cells = (row.experiment, row.label, f"{row.percent}", row.status, row.changed_by, row.reason)
            table.add_row(f"{row.changed_at:%Y-%m-%d %H:%M}", *map(str, cells))
        out.print(table)


def print_record(out: Console, record: CanaryRecord | None) -> None:
    """Print where a canary is, and why."""
    if record is None:
        out.print("There is no canary: `recsys canary start challenger` begins one.")
        return
    shares = f"{record.percent} % of the visitors, {record.baseline_percent} % as baseline"
    out.print(f"{record.experiment}: {record.label} is {record.status}, {shares}", markup=False, soft_wrap=True)
    out.print(f"{record.news} ({record.who}, {record.changed_at:%Y-%m-%d %H:%M} UTC)", markup=False, soft_wrap=True)
    if record.news != record.reason:
        out.print(f"{record.status}: {record.reason}", markup=False, soft_wrap=True)


def print_traffic(out: Console, seen: Observation) -> None:
    """Print what both groups did."""
    rows = group_rows(seen)
    table = Table(*rows[0], box=None)
    for row in rows:
        table.add_row(*row.values())
    out.print(table)
