"""`recsys serve` and `recsys keys`: the recommendation API and who may call it."""

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from recsys_platform.cli.console import OUT
from recsys_platform.cli.worlds import holds_simulation, open_world
from recsys_platform.common.errors import InputError
from recsys_platform.config.settings import Settings

_ROLE = typer.Option("--role", help="What the key may do: app, analyst or admin; may be repeated.")
_KEY_ID = typer.Argument(metavar="ID", help="The id of a key, listed by `recsys keys list`.")
_TO_SECRET = typer.Option(
    "--to-secret",
    metavar="NAME",
    help="Write the text into this secret of AWS Secrets Manager and do not print it, where output is kept in logs.",
)
keys = typer.Typer(help="API keys of the recommendation API.", no_args_is_help=True)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the API.")] = 8000,
    workers: Annotated[
        int, typer.Option(min=1, max=256, help="Processes behind the port; more than one need RECSYS_REDIS_URL.")
    ] = 1,
    metrics_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="A second port, for metrics alone; none by default.")
    ] = None,
    simulated_clock: Annotated[
        bool, typer.Option("--simulated-clock", help="Take the time from requests, for `recsys simulate-visits`.")
    ] = False,
) -> None:
    """Serve the recommendation API on this world."""
    with TemporaryDirectory(prefix="recsys-metrics-") as folder:
        if workers > 1:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # read when the library is imported, below
        _serve(host, port, metrics_port, workers, simulated_clock=simulated_clock)


def _serve(host: str, port: int, metrics_port: int | None, workers: int, *, simulated_clock: bool) -> None:
    from recsys_platform.serving.connections import check_port
    from recsys_platform.serving.gateway import server

    settings = open_world()
    server.check_workers(settings, workers)
    if simulated_clock:
        _check_simulation(settings, workers)
    check_port(host, port)
    store = server.key_store_of(settings)
    OUT.print(f"Recommendation API on http://{host}:{port}: a page to look at, its documents at /docs; Ctrl+C ends it.")
    if settings.env == "local" and not store.keys():
        _, text = store.create("first key of this world")
        OUT.print(f"A first key, shown once: {text}", soft_wrap=True)
    ports = server.Ports(host, port, metrics_port)
    if workers > 1:
        server.serve_workers(settings, ports, workers)
    else:
        server.serve(settings, ports, simulated_clock=simulated_clock)


def _check_simulation(settings: Settings, workers: int) -> None:
    """Raise InputError unless requests may set the time: nobody's real events would have it."""
    if settings.env != "local" or not holds_simulation(settings) or workers > 1:
        raise InputError(
            "--simulated-clock is for a world of `recsys simulate` with RECSYS_ENV=local and one worker: elsewhere requests must not "
            "set the time."
        )


def model_host(
    command: Annotated[
        str, typer.Argument(hidden=True, help="`serve`, which SageMaker gives to the container.")
    ] = "serve",
    *,
    folder: Annotated[
        Path | None,
        typer.Option(
            envvar="SM_MODEL_DIR", help="Folder of a model; by default SageMaker's, if there is one, else this world."
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "0.0.0.0",  # noqa: S104  # a container's
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the host.")] = 8080,
) -> None:
    """Serve a model without readers: GET /ping and POST /invocations, as SageMaker asks."""
    from recsys_platform.serving.connections import check_port
    from recsys_platform.serving.model_host import server

    if command != "serve":  # SageMaker starts a container with this word
        raise InputError(f"{command} is not a command of a model host: it has only `serve`.")
    check_port(host, port)
    found = folder or server.container_folder()
    app = server.host_of_folder(found) if found else server.host_of_world(open_world())
    OUT.print(f"Model host on http://{host}:{port}: GET /ping, POST /invocations; Ctrl+C ends it.")
    server.serve(app, host=host, port=port)


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="Who will use it, such as `ios-app`.")],
    role: Annotated[list[str], _ROLE] = ["app"],  # noqa: B006  # typer reads it
    tier: Annotated[str, typer.Option(help="Limits: free, premium or partner.")] = "partner",
    days: Annotated[int | None, typer.Option(min=1, help="Days until it expires; never by default.")] = None,
    to_secret: Annotated[str | None, _TO_SECRET] = None,
) -> None:
    """Issue a key; its text is shown once."""
    from recsys_platform.serving.gateway.keys import checked_roles, checked_tier
    from recsys_platform.serving.gateway.server import key_store_of

    settings = open_world()
    store = key_store_of(settings)
    given: dict[str, Any] = {"roles": checked_roles(role), "tier": checked_tier(tier), "days": days}
    key, text = store.create(name, **given, hand_over=_writer_of_secret(settings, to_secret))
    OUT.print(f"Key {key.id} for {name}. {_text_or_secret(text, to_secret)}", soft_wrap=True)


def _writer_of_secret(settings: Settings, name: str | None) -> Callable[[str], None] | None:
    if name is None:
        return None
    from recsys_platform.common.aws_secrets import write_secret

    return lambda text: write_secret(name, text, settings.hub_kms_key)


def _text_or_secret(text: str, to_secret: str | None) -> str:
    return f"Its text is in the secret {to_secret}." if to_secret else f"Its text, shown once: {text}"


@keys.command("list")
def list_keys() -> None:
    """List the keys, never their secrets."""
    from recsys_platform.cli.output.keys import print_keys
    from recsys_platform.serving.gateway.server import key_store_of

    print_keys(OUT, list(key_store_of(open_world()).keys().values()))


@keys.command()
def rotate(
    key_id: Annotated[str, _KEY_ID],
    overlap_days: Annotated[int, typer.Option(min=0, help="Days for which the old secret stays valid.")] = 7,
    to_secret: Annotated[str | None, _TO_SECRET] = None,
) -> None:
    """Give a key a new secret; the old one stays valid for some days."""
    import datetime as dt

    from recsys_platform.serving.gateway.server import key_store_of

    settings = open_world()
    overlap = dt.timedelta(days=overlap_days)
    text = key_store_of(settings).rotate(key_id, overlap, _writer_of_secret(settings, to_secret))
    OUT.print(f"Key {key_id} has a new secret. {_text_or_secret(text, to_secret)}", soft_wrap=True)


@keys.command()
def revoke(key_id: Annotated[str, _KEY_ID]) -> None:
    """Revoke a key at once, on every gateway of this world."""
    from recsys_platform.serving.gateway.server import key_store_of

    key = key_store_of(open_world()).revoke(key_id)
    OUT.print(f"{key.id} ({key.name}) is revoked.")
