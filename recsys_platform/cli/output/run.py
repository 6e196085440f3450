"""What `recsys run` and `recsys fetch` print at the end."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from recsys_platform.cli.output.formats import counted

if TYPE_CHECKING:  # imports Dagster, which takes seconds
    from recsys_platform.defs.automation.run import RunReport


def print_report(out: Console, report: "RunReport") -> None:
    """Print what the run loaded and materialized, or that there was nothing to do; then warnings and failures."""
    if not report.steps:
        out.print("Nothing new: 0 objects loaded, no table changed; every layer is newer than the data it is made of.")
        out.print(
            "Changed recipes, list rules and SQL are detected; after other changes of code or settings: `recsys run --all`."
        )
    elif not report.failures:
        materialized = f"{counted(report.assets, 'asset')} materialized in {counted(len(report.steps), 'run')}."
        out.print(f"{_loaded_objects(report.loaded)} {materialized}")
    for sentence in dict.fromkeys(report.warnings):
        out.print(f"[yellow]warning:[/] {escape(sentence)}", soft_wrap=True)
    for sentence in dict.fromkeys(report.failures):
        out.print(f"[bold red]failed:[/] {escape(sentence)}", soft_wrap=True)
    if report.failures:
        out.print("Stopped there: nothing downstream was changed. `make dev` shows the run.")


def _loaded_objects(loaded: Mapping[str, int]) -> str:
    if not loaded["objects"]:
        return "No new landing objects;"
    return (
        f"Loaded {counted(loaded['objects'], 'new object')}: {counted(loaded['records'], 'record')}, "
        f"{loaded['accepted']:,} accepted, {loaded['rejected']:,} rejected;"
    )
