"""What `recsys demo --loop` prints."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def print_loop(out: Console, found: Mapping[str, Any]) -> None:
    """Print a table of the acts, the experiment, and what to look at next."""
    _print_acts(out, found["outcomes"])
    verdict = found["verdict"]
    _print_experiment(out, verdict["planted"], verdict["found"])
    _print_canary(out, found["canary"])
    _print_bad_model(out, found["bad model"])
    out.print(
        "`recsys report` shows this world on one page; `recsys models --history` and `recsys canary`: who decided what."
    )


def _print_acts(out: Console, rows: list[dict[str, Any]]) -> None:
    columns = ("act", "variant", "days", "readers", "CTR", "expected", "finishes/week", "coverage", "top tenth")
    table = Table(*columns, box=None, header_style="dim")
    for row in rows:
        expected = "" if row["expected_ctr"] is None else f"{row['expected_ctr']:.2%}"
        table.add_row(
            str(row["act"]),
            row["variant"],
            f"{row['first']} to {row['last']}",
            f"{row['readers']:,}",
            f"{row['ctr']:.2%}",
            expected,
            "" if row["finishes"] is None else f"{row['finishes']:.2f}",
            f"{row['coverage']:.0%}",
            f"{row['top_share']:.0%}",
        )
    out.print(table)


def _print_experiment(out: Console, planted: Mapping[str, float], found: Mapping[str, Any]) -> None:
    out.print(f"experiment {found['verdict']}: {found['sentence']}", markup=False, soft_wrap=True)
    for metric, measured in found["metrics"].items():
        interval = f"({measured['low']:+.1%} to {measured['high']:+.1%})"
        out.print(
            f"loop_planted {metric} {planted[metric]:+.1%}, loop_measured {measured['lift']:+.1%} {interval}",
            soft_wrap=True,
        )


def _print_canary(out: Console, canary: Mapping[str, Any] | None) -> None:
    if canary is None:
        out.print("canary: not started, since the experiment did not say `ship`")
        return
    climbed = " → ".join(f"{percent} %" for percent in dict.fromkeys(step["percent"] for step in canary["steps"]))
    out.print(f"canary of {canary['label']}: {climbed}; {canary['reason']}", markup=False, soft_wrap=True)


def _print_bad_model(out: Console, bad: Mapping[str, Any]) -> None:
    out.print(
        f"bad model {bad['label']}: {bad['reason']}, after {bad['days']} days; "
        f"shown to {bad['exposed']:,} of {bad['readers']:,} readers: loop_bad_exposed {bad['share']:.1%}",
        markup=False,
        soft_wrap=True,
    )
