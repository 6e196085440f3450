"""What `recsys experiments` prints."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_platform.experiments.assignment import HOLDOUT, Experiment, Experiments
from recsys_platform.experiments.changes import Change, State
from recsys_platform.experiments.readouts import ExperimentReport, readers_text, reading_rows, segment_rows
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


def print_experiments(out: Console, experiments: Experiments) -> None:
    """Print a row for each experiment, and the holdout."""
    if experiments.holdout:
        out.print(f"holdout: {experiments.holdout.percent:g} % of the visitors are in no experiment.")
    if not experiments:
        out.print("experiments.yaml has no experiment.")
        return
    table = Table(
        "experiment", "status", "variants", "layer", "surfaces", "days", "primary metrics", "guardrails", box=None
    )
    for each in experiments:
        variants = ", ".join(f"{variant.name} {variant.weight:g} %" for variant in each.variants)
        surfaces = ", ".join(each.surfaces) or "all"
        table.add_row(each.name, each.status, variants, each.layer, surfaces, *_plan_cells(each))
    out.print(table)
    for each in experiments:
        if each.audience:
            out.print(
                escape(f"{each.name} is for readers of `marts.dim_users` where {each.audience.condition}."),
                soft_wrap=True,
            )


def _plan_cells(experiment: Experiment) -> tuple[str, str, str]:
    plan = experiment.plan
    if plan is None:
        return "no plan", "", ""
    return f"{plan.starts_on} to {plan.last_day}", ", ".join(plan.primary), ", ".join(plan.guardrails)


def print_change(out: Console, change: Change, experiment: Experiment) -> None:
    """Print what a command has changed, and what is to be known of it."""
    weights = ", ".join(f"{variant.name} {variant.weight:g} %" for variant in experiment.variants)
    text = f"{change.experiment} is {change.action}: {weights}. Gateways follow within seconds."
    if change.action == "stopped":
        text = f"{change.experiment} is stopped: gateways send its visitors back to production within seconds."
    elif experiment.name == HOLDOUT and not experiment.is_running:
        text = "The holdout is gone: its readers take part in experiments within seconds."
    out.print(escape(text), soft_wrap=True)
    if change.action == "started" and experiment.plan is None:
        out.print(f"{change.experiment} has no plan: nothing says how it is to be judged.", soft_wrap=True)


def print_changes(out: Console, changes: Sequence[Change], name: str | None) -> None:
    """Print a row for each change, oldest first."""
    if not changes:
        out.print(
            f"{name or 'No experiment'} was {'never' if name else 'ever'} started, ramped or stopped by a command."
        )
        return
    table = Table("when (UTC)", "who", "experiment", "what", "weights before", "weights after", "why", box=None)
    for each in changes:
        states = (_weights_cell(each.before), _weights_cell(each.after))
        row = (f"{each.at:%Y-%m-%d %H:%M}", each.who, each.experiment, each.action, *states, each.why)
        table.add_row(*map(escape, row))
    out.print(table)


def _weights_cell(state: State | None) -> str:
    if state is None or not state.is_running:
        return "no visitors"
    return ", ".join(f"{name} {weight:g} %" for name, weight in state.weights.items())


def print_report(out: Console, report: ExperimentReport, policies: Sequence[Mapping[str, str]] = ()) -> None:
    """Print the verdict, what is wrong, a row for each metric of each variant, segments, and off-policy estimates beside them."""
    if report.result is None:
        out.print(report.why_nothing)
        return
    result = report.result
    out.print(
        f"{report.experiment}, {report.days[0]} to {report.days[-1]}; readers: {readers_text(report)}", soft_wrap=True
    )
    out.print(f"{result.decision.verdict}: {result.decision.sentence}", markup=False, soft_wrap=True)
    for finding in result.findings:
        out.print(f"{finding.name}: {finding.sentence}", markup=False, soft_wrap=True)
    for metric, limit in report.limits.items():
        out.print(f"{metric} of a reader counts up to {limit:g}, by the pre-period")
    _print_rows(out, reading_rows(result))
    _print_rows(
        out, segment_rows(report.segments), "Segments, exploratory: they suggest the next experiment and decide nothing"
    )
    _print_rows(out, policies, "Off-policy estimate of the published lists, from the positions that chance filled")


def _print_rows(out: Console, rows: Sequence[Mapping[str, str]], title: str = "") -> None:
    if not rows:
        return
    if title:
        out.print(f"\n{title}")
    table = Table(*rows[0], box=None)
    for row in rows:
        table.add_row(*row.values())
    out.print(table)
