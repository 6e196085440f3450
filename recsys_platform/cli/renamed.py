"""Old names of commands and options, which work for one more release and print a note on standard error."""

from typing import Any

from typer.core import TyperGroup

from recsys_platform.cli.console import ERR

COMMANDS = {
    "replay": ["import"],
    "replay-rejected": ["revalidate"],
    "accept": ["accept-snapshot"],
    "snowflake-scripts": ["snowflake", "setup-scripts"],
}
OPTIONS = {
    "simulate": {"--more": "--continue"},
    "promote": {"--why": "--reason"},
    "rollback": {"--why": "--reason"},
    "accept-snapshot": {"--why": "--reason"},
    "canary": {"--because": "--reason"},
    "experiments": {
        "--because": "--reason",
        "--lift": "--mde",
        "--deviation": "--std-dev",
        "--likeness": "--icc",
        "--variation": "--exposures-cv",
        "--readers-a-day": "--daily-readers",
        "--one-look": "--fixed-horizon",
    },
}


class RenamingGroup(TyperGroup):
    """The commands of `recsys`, also under their old names."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line with old names replaced by the new ones."""
        return super().parse_args(ctx, with_new_names(args))


def with_new_names(arguments: list[str]) -> list[str]:
    """A command line with old names of commands and options replaced; prints a note for each.

    >>> with_new_names(["promote", "2", "--reason", "a trial"])
    ['promote', '2', '--reason', 'a trial']
    """
    arguments = _with_new_command(arguments)
    renamed = OPTIONS.get(arguments[0], {}) if arguments else {}
    return [_new_option(argument, renamed) for argument in arguments]


def _with_new_command(arguments: list[str]) -> list[str]:
    if arguments[:1] == ["pin"] and "--off" in arguments:
        _print_note("recsys pin --off", "recsys unpin")
        return ["unpin", *(argument for argument in arguments[1:] if argument != "--off")]
    if not arguments or arguments[0] not in COMMANDS:
        return arguments
    new = COMMANDS[arguments[0]]
    _print_note(f"recsys {arguments[0]}", f"recsys {' '.join(new)}")
    return [*new, *arguments[1:]]


def _new_option(argument: str, renamed: dict[str, str]) -> str:
    name, equals, value = argument.partition("=")
    if name not in renamed:
        return argument
    _print_note(name, renamed[name])
    return f"{renamed[name]}{equals}{value}"


def _print_note(old: str, new: str) -> None:
    ERR.print(f"note: `{old}` is now `{new}`; the old name will be removed in the next release.", soft_wrap=True)
