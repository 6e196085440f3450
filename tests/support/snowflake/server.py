"""A server that speaks Snowflake's protocol, for tests: fakesnow on DuckDB in memory, with what it lacks patched in.

Run as `python -m tests.support.snowflake.server --port 5701 --s3 http://127.0.0.1:5600`. It listens on the loopback, says that it is
ready in one line, takes any user and password, and ends on SIGTERM or SIGINT; all data ends with it. What Snowflake does
and this does not is told where it is patched, module by module.
"""

import argparse
import os
import socket
from collections.abc import Sequence
from pathlib import Path

import uvicorn
from fakesnow.server import app

from tests.support.snowflake.patches import (
    copying,
    errors,
    functions,
    idle,
    merging,
    once,
    passes,
    recording,
    refusing,
    sessions,
    statements,
    temporary,
    transactions,
    types,
)

# Each is put around those before it: an error gets its name last, when all others have had their say.
PATCHES = (
    passes,
    once,
    copying,
    functions,
    refusing,
    merging,
    statements,
    types,
    sessions,
    transactions,
    temporary,
    errors,
    idle,
)


class Server(uvicorn.Server):
    """Says when it listens."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        print(f"ready on port {self.config.port}", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until told to stop."""
    options = _parser().parse_args(arguments)
    if options.s3:
        os.environ["AWS_ENDPOINT_URL"] = options.s3
    install()
    if options.history:
        recording.install(options.history)
    Server(uvicorn.Config(app, host="127.0.0.1", port=options.port, log_level="warning")).run()


def install() -> None:
    """Put all patches in place, once for the process."""
    for patch in PATCHES:
        patch.install()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Snowflake's protocol on the loopback, for tests.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--s3", help="address that stands for S3; without it AWS_ENDPOINT_URL, or AWS itself")
    parser.add_argument("--history", type=Path, help="file to append the text of every statement to")
    return parser


if __name__ == "__main__":
    main()
