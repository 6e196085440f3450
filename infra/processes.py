"""What the containers of the platform run and what tells that they work, as plain data.

Belongs here: commands, health checks and folders of the images of infra/Dockerfile. Does not: sizes, rights and networks (stacks/).
"""

from dataclasses import dataclass

from infra.names import PORTS

IMAGES = ("dagster", "gateway", "model-host", "mlflow")
"""The last stages of infra/Dockerfile, and the repositories of the images."""
DAGSTER_HOME = "/opt/dagster"
WORLD = "/var/lib/recsys"
"""RECSYS_HOME in every image that has one."""
USER_ID = 1000
"""The user and group of every image, who owns the world on the shared file system too."""
DAGSTER_MIGRATION = ["recsys", "migrate"]
_DATABASE = "postgresql+psycopg2://"
"""Of MLflow, with the driver of its image, since SQLAlchemy would take another.

Host, name, user and password come from libpq's variables, so that none stands in a command.
"""
MLFLOW_MIGRATION = ["mlflow", "db", "upgrade", _DATABASE]
_EVERYWHERE = "0.0.0.0"  # noqa: S104  # a container's own network


@dataclass(frozen=True)
class HealthCheck:
    """The command of a health check, and seconds: how often it starts, how long it may take."""

    command: tuple[str, ...]
    interval: int = 30
    timeout: int = 5


def _answers(path: str) -> HealthCheck:
    code = f"import urllib.request as r; r.urlopen('http://127.0.0.1:{path}', timeout=2)"
    return HealthCheck(("python", "-c", code))


# Dagster's own checks import it, which takes seconds on half a core: the default of five would stop a process that works.
HEALTH_CHECKS = {
    "code-server": HealthCheck(
        ("dagster", "api", "grpc-health-check", "-p", str(PORTS["code-server"])), interval=60, timeout=30
    ),
    "daemon": HealthCheck(("dagster-daemon", "liveness-check"), interval=300, timeout=60),
    "gateway": _answers(f"{PORTS['gateway']}/healthz"),
    "mlflow": _answers(f"{PORTS['mlflow']}/health"),
    "model-host": _answers("8080/ping"),
    "reports": _answers(f"{PORTS['reports']}/healthz"),
}
"""By process. A load balancer asks the web server, and runs end by themselves."""


def dagster_command(process: str, code_server: str) -> list[str]:
    """The command of a process of Dagster. `code_server`: the host that web server and daemon find it at."""
    at = ["--grpc-host", code_server, "--grpc-port", str(PORTS["code-server"])]
    listening = ["-h", _EVERYWHERE, "-p", str(PORTS.get(process))]
    return {
        "code-server": ["dagster", "code-server", "start", *listening, "-m", "recsys_platform.definitions"],
        "web-server": ["dagster-webserver", *listening, *at],
        "daemon": ["dagster-daemon", "run", *at],
    }[process]


def mlflow_options(artifacts: str) -> list[str]:
    """The options of MLflow's server. `artifacts`: where files of models go."""
    listening = ["--host", _EVERYWHERE, "--port", str(PORTS["mlflow"])]
    return [*listening, "--backend-store-uri", _DATABASE, "--artifacts-destination", artifacts]
