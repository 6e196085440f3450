"""Commands as the shell would run them, in this process."""

import os
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from recsys_platform.cli import app as cli
from recsys_platform.config.settings import PREFIX


def recsys(*arguments: str, patch: pytest.MonkeyPatch) -> int:
    """Run a command as the shell would, in this process; its exit code."""
    patch.setattr("sys.argv", ["recsys", *arguments])
    try:
        cli.main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def said_by(*arguments: str, home: Path, **settings: str) -> tuple[int, str]:
    """Run a command on a world with these settings (`LIST_LENGTH="7"`) alone; its exit code and what it printed on one line."""
    with pytest.MonkeyPatch.context() as patch, StringIO() as out, redirect_stdout(out), redirect_stderr(out):
        for name in [name for name in os.environ if name.startswith(PREFIX)]:
            patch.delenv(name)
        for name, value in {"HOME": str(home), **settings}.items():
            patch.setenv(f"{PREFIX}{name}", value)
        code = recsys(*arguments, patch=patch)
        return code, " ".join(out.getvalue().split())
