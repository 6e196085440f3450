"""`recsys firehose`: send events through Amazon Data Firehose, or through an emulator that writes into the hub."""

from pathlib import Path
from typing import Annotated

import typer

from recsys_platform.cli.console import OUT
from recsys_platform.cli.worlds import open_world
from recsys_platform.config.factories import hub_of

firehose = typer.Typer(help="Send events through Amazon Data Firehose, or emulate it.", no_args_is_help=True)


@firehose.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 4573,
    buffer_seconds: Annotated[
        int, typer.Option(min=0, max=900, help="Deliver an object once its first record is this old.")
    ] = 60,
    buffer_mib: Annotated[int, typer.Option(min=1, max=128, help="Deliver an object once it has this size.")] = 5,
    gzip: Annotated[bool, typer.Option(help="Compress objects.")] = True,
) -> None:
    """Emulate Firehose over HTTP: the streams segment, pinpoint and matomo deliver landing objects into this world's hub."""
    from recsys_platform.hub.layout import SOURCES
    from recsys_platform.sources.firehose import server
    from recsys_platform.sources.firehose.emulator import DeliveryStream, FirehoseEmulator
    from recsys_platform.sources.firehose.prefixes import landing_prefixes

    hub = hub_of(open_world())
    streams = [
        DeliveryStream(
            source,
            *landing_prefixes(source),
            buffer_mib=buffer_mib,
            buffer_seconds=buffer_seconds,
            gzip=gzip,
            newline=True,
        )
        for source in SOURCES
    ]
    OUT.print(f"AWS_ENDPOINT_URL_FIREHOSE=http://{host}:{port} delivers into {hub.where('')}", soft_wrap=True)
    server.serve(FirehoseEmulator(hub, *streams), host=host, port=port)


@firehose.command()
def send(
    file: Annotated[Path, typer.Argument(help="JSON Lines, one event a line; may be gzipped.")],
    stream: Annotated[str, typer.Option(help="Delivery stream to send to.")],
    emulator: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Address of `recsys firehose serve`; default: AWS, with your credentials."),
    ] = None,
) -> None:
    """Send the events of a file to a Firehose delivery stream, in batches, retrying what the service refuses."""
    from recsys_platform.sources.firehose.producer import firehose_client, read_records
    from recsys_platform.sources.firehose.producer import send as send_records

    records = read_records(file)
    send_records(firehose_client(emulator), stream, records)
    OUT.print(f"{len(records):,} records sent to the stream {stream}.", soft_wrap=True)
