"""What `recsys experiments` prints."""

from rich.console import Console
from rich.table import Table

from recsys_platform.experiments.statistics.planning import (
    Baseline,
    Duration,
    power_with,
    smallest_lift,
)


def print_plan(out: Console, baseline: Baseline, lift: float, planned: Duration, once: Duration) -> None:
    """Print the readers and days of a plan, and what they find; `once`: the same with one look."""
    design, weeks = planned.design, -(-planned.days // 7)
    table = Table(box=None, show_header=False)
    table.add_row("readers of each variant", f"{planned.readers:,}")
    table.add_row("readers in all", f"{planned.readers * (design.variants + 1):,}")
    table.add_row("days", f"{planned.days:,} (whole weeks: {7 * weeks})")
    table.add_row("looks", "one, at the end" if design.looks == 1 else f"every day, {design.looks} in all")
    if design.looks > 1:
        table.add_row("with one look, at the end", f"{once.readers:,} readers of each variant, {once.days:,} days")
    table.add_row("alpha of a comparison", f"{design.corrected_alpha:.3g}")
    table.add_row(f"power for {lift:+.1%}", f"{power_with(baseline, lift, planned.readers, design):.1%}")
    table.add_row("smallest gain found", f"{smallest_lift(baseline, planned.readers, design):+.2%}")
    out.print(table)
