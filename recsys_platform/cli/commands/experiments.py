"""`recsys experiments`: plan and read experiments; changing them is in experiment_changes.py."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from recsys_platform.cli.commands.experiment_changes import history, holdout, ramp, start, stop
from recsys_platform.cli.console import OUT
from recsys_platform.common.errors import InputError, WarehouseHeldError
from recsys_platform.config.factories import reading_copy_of, warehouse_of
from recsys_platform.config.settings import load_settings

if TYPE_CHECKING:  # imports numpy and scipy
    from recsys_platform.experiments.statistics.planning import Baseline
    from recsys_platform.warehouse.port import Warehouse

experiments = typer.Typer(help="Plan, start, ramp, stop and read experiments.", no_args_is_help=True)
for command in (start, ramp, stop, holdout, history):
    experiments.command()(command)


@experiments.callback()
def _experiments() -> None:
    """Plan, start, ramp, stop and read experiments."""


@experiments.command()
def plan(
    *,
    rate: Annotated[float | None, typer.Option(help="Share of readers who do it today, such as 0.3.")] = None,
    mean: Annotated[float | None, typer.Option(help="Mean of a metric per reader today; with --std-dev.")] = None,
    std_dev: Annotated[float | None, typer.Option(help="Standard deviation of that metric over readers.")] = None,
    ctr: Annotated[float | None, typer.Option(help="Clicks ÷ exposures today; with --exposures.")] = None,
    exposures: Annotated[float | None, typer.Option(help="Exposures of a reader during the experiment.")] = None,
    icc: Annotated[float, typer.Option(help="Intraclass correlation of the clicks of one reader.")] = 0.05,
    exposures_cv: Annotated[float, typer.Option(help="Standard deviation ÷ mean of the exposures of a reader.")] = 1.0,
    mde: Annotated[
        float, typer.Option(help="Smallest effect worth finding (minimum detectable effect): 0.05 for +5 %.")
    ],
    daily_readers: Annotated[float, typer.Option(help="New readers a day at today's traffic.")],
    share: Annotated[float, typer.Option(help="Share of the readers who take part.")] = 1.0,
    variants: Annotated[int, typer.Option(help="Variants besides the control.")] = 1,
    metrics: Annotated[int, typer.Option(help="Primary metrics.")] = 1,
    guardrails: Annotated[int, typer.Option(help="Guardrail metrics.")] = 0,
    margin: Annotated[
        float | None,
        typer.Option(help="Loss of a guardrail that is tolerated: 0.02 for 2 %; needs enough readers too."),
    ] = None,
    correlation: Annotated[float, typer.Option(help="Correlation with the pre-period (CUPED).")] = 0.0,
    alpha: Annotated[float, typer.Option(help="Chance of a false finding.")] = 0.05,
    power: Annotated[float, typer.Option(help="Chance to find the effect.")] = 0.8,
    readers: Annotated[
        int | None, typer.Option(help="Readers of each variant that there are: print what they find instead.")
    ] = None,
    fixed_horizon: Annotated[
        bool, typer.Option("--fixed-horizon", help="Look once, at the end, instead of every day.")
    ] = False,
) -> None:
    """Print how many readers and days an experiment needs, with a look every day by group-sequential bounds."""
    from recsys_platform.cli.output.experiments import print_plan
    from recsys_platform.experiments.statistics.planning import MAX_LOOKS, Design, Traffic, plan_duration

    baseline = _baseline_of(rate, (mean, std_dev), (ctr, exposures, icc, exposures_cv))
    design = Design(alpha, power, 1, variants, metrics, guardrails, correlation)
    once, planned = (
        plan_duration(baseline, mde, each, Traffic(daily_readers, share), margin=margin, readers=readers)
        for each in (design, design if fixed_horizon else replace(design, looks=MAX_LOOKS))
    )
    print_plan(OUT, baseline, mde, planned, once)


@experiments.command("list")
def list_experiments() -> None:
    """Show the experiments of `experiments.yaml`: status, variants, layer, days, metrics."""
    from recsys_platform.cli.output.experiments import print_experiments
    from recsys_platform.serving.routing_files import experiments_of

    print_experiments(OUT, experiments_of(load_settings()))


@experiments.command()
def read(name: Annotated[str, typer.Argument(help="An experiment of `experiments.yaml` with a `plan`.")]) -> None:
    """Show what an experiment has found until the last day that is over, and what to do."""
    from recsys_platform.cli.output.experiments import print_report
    from recsys_platform.experiments.definitions import experiment_named
    from recsys_platform.experiments.published_policies import evaluate_published
    from recsys_platform.experiments.readouts import off_policy_rows, read_experiment
    from recsys_platform.serving.routing_files import experiments_of

    settings = load_settings()
    experiment = experiment_named(experiments_of(settings), name)
    try:
        warehouse: Warehouse = warehouse_of(settings)
        report = read_experiment(warehouse, experiment)
    except WarehouseHeldError:
        warehouse = reading_copy_of(settings)
        report = read_experiment(warehouse, experiment)
    print_report(OUT, report, off_policy_rows(report, evaluate_published(warehouse)))


def _baseline_of(
    rate: float | None,
    mean: tuple[float | None, float | None],
    ctr: tuple[float | None, float | None, float, float],
) -> "Baseline":
    from recsys_platform.experiments.statistics.planning import mean_baseline, proportion_baseline, ratio_baseline

    if sum(each is not None for each in (rate, mean[0], ctr[0])) != 1:
        raise InputError("Give one metric of today: --rate, --mean with --std-dev, or --ctr with --exposures.")
    if rate is not None:
        return proportion_baseline(rate)
    if mean[0] is not None and mean[1] is not None:
        return mean_baseline(mean[0], mean[1])
    if ctr[0] is not None and ctr[1] is not None:
        return ratio_baseline(ctr[0], ctr[1], icc=ctr[2], exposures_cv=ctr[3])
    raise InputError("--mean needs --std-dev, and --ctr needs --exposures.")
