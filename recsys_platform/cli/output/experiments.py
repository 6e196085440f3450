"""What `recsys experiments` prints."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from recsys_platform.experiments.assignment import Experiment
from recsys_platform.experiments.readouts import ExperimentReport, reading_rows
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


def print_experiments(out: Console, experiments: Sequence[Experiment]) -> None:
    """Print a row for each experiment."""
    if not experiments:
        out.print("experiments.yaml has no experiment.")
        return
    table = Table("experiment", "variants", "surfaces", "days", "primary metrics", "guardrails", box=None)
    for each in experiments:
        variants = ", ".join(f"{variant.name} {variant.weight:g} %" for variant in each.variants)
        table.add_row(each.name, variants, ", ".join(each.surfaces) or "all", *_plan_cells(each))
    out.print(table)


def _plan_cells(experiment: Experiment) -> tuple[str, str, str]:
    plan = experiment.plan
    if plan is None:
        return "no plan", "", ""
    return f"{plan.starts_on} to {plan.last_day}", ", ".join(plan.primary), ", ".join(plan.guardrails)


def print_report(out: Console, report: ExperimentReport) -> None:
    """Print the verdict, what is wrong, and a row for each metric of each variant."""
    if report.result is None:
        out.print(report.why_nothing)
        return
    result = report.result
    readers = ", ".join(f"{name} {count:,}" for name, count in (report.readers or {}).items())
    out.print(f"{report.experiment}, {report.days[0]} to {report.days[-1]}; readers: {readers}")
    out.print(f"{result.decision.verdict}: {result.decision.sentence}", markup=False, soft_wrap=True)
    for finding in result.findings:
        out.print(f"{finding.name}: {finding.sentence}", markup=False, soft_wrap=True)
    rows = reading_rows(result)
    table = Table(*rows[0], box=None)
    for row in rows:
        table.add_row(*row.values())
    out.print(table)
