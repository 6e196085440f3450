"""`recsys demo --loop`: the closed loop on a world of its own."""

import sys

from recsys_platform.cli.console import ERR, OUT, progress_bar
from recsys_platform.cli.worlds import holds_simulation, open_world
from recsys_platform.common.errors import InputError
from recsys_platform.config.settings import Settings


def run_closed_loop(*, readers: int, books: int, seed: int, weeks: int) -> None:
    """Run the loop, or what is left of one that was interrupted, and print what it found."""
    from recsys_platform.cli.output.closed_loop import print_loop
    from recsys_platform.closed_loop.driver import run_loop
    from recsys_platform.closed_loop.loop_world import LoopWorld
    from recsys_platform.closed_loop.plan import LoopRecord, load_record, plan_until_yesterday

    settings = open_world()
    _check_world(settings)
    sizes = {"readers": readers, "books": books, "seed": seed, "weeks": weeks}
    record = load_record(settings.truth_root) or LoopRecord(plan_until_yesterday(**sizes))
    begun = {name: getattr(record.plan, name) for name in sizes}
    if begun != sizes:
        options = " ".join(f"--{name} {value}" for name, value in begun.items())
        ERR.print(
            f"The loop in {settings.home} was begun with {options} and goes on with these: "
            "set RECSYS_HOME to another folder for one of another size.",
            markup=False,
            soft_wrap=True,
        )
    record.save(settings.truth_root)
    with progress_bar() as bar:
        task = bar.add_task("the loop", total=None)

        def tell(what: str, done: int, total: int) -> None:
            if not total and not sys.stderr.isatty():
                ERR.print(what, markup=False, soft_wrap=True)
            bar.update(task, description=what, completed=done, total=total or None)

        found = run_loop(LoopWorld(settings, record.plan, tell), record)
    print_loop(OUT, found)


def _check_world(settings: Settings) -> None:
    """Raise InputError unless the world is new, or one of a loop."""
    from recsys_platform.closed_loop.plan import load_record

    if settings.env != "local":
        raise InputError("The loop runs on a simulated world of its own: use it with RECSYS_ENV=local.")
    if holds_simulation(settings) and load_record(settings.truth_root) is None:
        raise InputError(
            f"{settings.home} holds another simulated world: set RECSYS_HOME to another folder for the loop."
        )
