"""MLflow's own tracking server with its artifacts behind it, as `mlflow server --artifacts-destination` starts it in production.

Its application is in the client's package, the command is not: `python -m tests.support.mlflow_server` serves it.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_VARIABLES = {
    "_MLFLOW_SERVER_FILE_STORE": "sqlite:///{folder}/mlflow.db",
    "_MLFLOW_SERVER_REGISTRY_STORE": "sqlite:///{folder}/mlflow.db",
    "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
    "_MLFLOW_SERVER_ARTIFACT_DESTINATION": "{folder}/artifacts",
    "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """The address of a server whose files are in a folder, until the end of the block."""
    (folder / "artifacts").mkdir(parents=True)
    given = {name: value.format(folder=folder) for name, value in _VARIABLES.items()}
    command = [sys.executable, "-m", "tests.support.mlflow_server"]
    with subprocess.Popen(command, env={**os.environ, **given}, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def _serve() -> None:
    from mlflow.server import app
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _serve()
