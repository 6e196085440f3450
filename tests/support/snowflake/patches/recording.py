"""What Snowflake would keep in its query history: the text of every statement.

Values that are bound to a statement are not part of its text, there as here. What it answers to a statement that fails is not kept
here: it may quote a value, to whoever sent it.
"""

from pathlib import Path
from typing import Any

import fakesnow.server as their_server

from tests.support.snowflake.patches.replacing import around


def install(file: Path) -> None:
    """Append to a file. Put in place last, so that it reads what clients say."""

    def read(theirs: Any, command: str) -> Any:
        with file.open("a", encoding="utf-8") as out:
            print(f"{command}\n;", file=out)
        return theirs(command)

    around(their_server, "parse_one", read)
