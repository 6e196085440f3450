"""The command line: its help is quick, old names still work, and every module has a way in."""

import subprocess
import sys
from typing import Any

import pytest
import typer.main

from recsys_platform.cli import app as cli
from recsys_platform.cli.renamed import COMMANDS, OPTIONS, with_new_names


def leaf_commands(group: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Every command by its words, also those of groups."""
    found: dict[tuple[str, ...], Any] = {}
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found |= leaf_commands(command, (*path, name))
        else:
            found[(*path, name)] = command
    return found


ALL = leaf_commands(typer.main.get_command(cli.app))


def options_of(command: Any) -> set[str]:
    return {name for each in command.params for name in each.opts if name.startswith("--")}


def test_help_imports_nothing_that_takes_long() -> None:
    code = "import sys; sys.argv = ['recsys', '--help']\nfrom recsys_platform.cli import app\n"
    code += "try: app.main()\nexcept SystemExit: print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    slow = {"dagster", "duckdb", "pyarrow", "numpy", "pandas", "boto3", "botocore", "mlflow", "numba", "pyspark", "dbt"}
    assert slow & set(done.stdout.splitlines()[-1].split()) == set()


@pytest.mark.parametrize("name", ALL, ids=" ".join)
def test_every_command_says_what_it_does_and_every_option_too(name: tuple[str, ...]) -> None:
    command = ALL[name]
    assert (command.help or "").partition("\n")[0].rstrip().endswith(".")
    assert [each.name for each in command.params if not each.help] == []


@pytest.mark.parametrize("old", COMMANDS)
def test_an_old_name_of_a_command_does_what_the_new_one_does_and_says_so(
    old: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tuple(COMMANDS[old]) in ALL
    assert (old,) not in ALL
    shown = []
    for words in ([old], COMMANDS[old]):
        monkeypatch.setattr("sys.argv", ["recsys", *words, "--help"])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code == 0
        shown.append(capsys.readouterr())
    assert shown[0].out == shown[1].out
    assert (shown[0].err, shown[1].err) == (
        f"note: `recsys {old}` is now `recsys {' '.join(COMMANDS[old])}`; the old name will be removed in the next release.\n",
        "",
    )


@pytest.mark.parametrize(
    ("command", "old", "new"), [(name, old, new) for name, renamed in OPTIONS.items() for old, new in renamed.items()]
)
def test_an_old_name_of_an_option_is_taken_for_the_new_one(
    command: str, old: str, new: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert any(new in options_of(each) for path, each in ALL.items() if path[0] == command)
    assert with_new_names([command, old, "x"]) == [command, new, "x"]
    assert with_new_names([command, f"{old}=x"]) == [command, f"{new}=x"]
    assert capsys.readouterr().err.count(f"note: `{old}` is now `{new}`") == 2


def test_pin_off_is_unpin(capsys: pytest.CaptureFixture[str]) -> None:
    assert with_new_names(["pin", "12", "--off"]) == ["unpin", "12"]
    assert "`recsys pin --off` is now `recsys unpin`" in capsys.readouterr().err
    assert with_new_names(["accept", "user_attributes", "--why", "x"]) == [
        "accept-snapshot",
        "user_attributes",
        "--reason",
        "x",
    ]
