"""Commands as the shell would run them, in this process."""

import pytest

from recsys_platform.cli import app as cli


def recsys(*arguments: str, patch: pytest.MonkeyPatch) -> int:
    """Run a command as the shell would, in this process; its exit code."""
    patch.setattr("sys.argv", ["recsys", *arguments])
    try:
        cli.main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
