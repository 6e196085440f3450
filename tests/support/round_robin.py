"""A plain proxy that gives each request to the next of several gateways, as a load balancer does.

    python -m tests.support.round_robin PORT HOST:PORT HOST:PORT …

It knows as much of HTTP/1.1 as the load of tests needs: bodies with a length, connections that are kept.
"""

import asyncio
import itertools
import sys
from collections.abc import Iterator
from contextlib import suppress

Place = tuple[str, int]
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class RoundRobin:
    """Forwards requests to places in turn, over connections that are kept for as long as the client's."""

    def __init__(self, places: list[Place]) -> None:
        self._turns: Iterator[Place] = itertools.cycle(places)

    async def serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kept: dict[Place, Connection] = {}
        try:
            while request := await _message(reader):
                place = next(self._turns)
                if place not in kept:
                    kept[place] = await asyncio.open_connection(*place)
                behind, sender = kept[place]
                sender.write(request)
                writer.write(await _message(behind))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for _, each in [*kept.values(), (reader, writer)]:
                each.close()


async def _message(reader: asyncio.StreamReader) -> bytes:
    """The next request or answer as it is; nothing at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head + (await reader.readexactly(int(lengths[0])) if lengths else b"")


async def serve(port: int, places: list[Place]) -> None:
    server = await asyncio.start_server(RoundRobin(places).serve_client, "127.0.0.1", port, limit=1 << 20)
    async with server:
        await server.serve_forever()


def main() -> None:
    places = [(host, int(port)) for host, _, port in (each.partition(":") for each in sys.argv[2:])]
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1]), places))


if __name__ == "__main__":
    main()
