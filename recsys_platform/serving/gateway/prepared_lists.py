"""Lists that are ready to send, kept in memory, and in Redis where several gateways share one.

Belongs here: what is kept of a list, and how gateways share it. Does not: what a list depends on (handlers.py).
"""

import asyncio
from typing import Any

import msgspec

from recsys_platform.serving.recommending import Source
from recsys_platform.serving.shared_redis import SharedRedis

KEPT_SECONDS = 120
"""In Redis: a list is asked for again soon or never, and the lists of two minutes are what bounds the memory."""
FORMAT = 3


class ShownList(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is logged and kept of a list: the source, the exposure's properties, the packed answer, and whether a better source failed.

    Bytes and not objects, of which a cache of lists would have millions.
    """

    source: Source
    properties: bytes
    answer: bytes
    stands_in: bool


class Prepared(ShownList, frozen=True, array_like=True, gc=False):
    """A list that is ready to send: the body has a place for the request id."""

    etag: str
    body: bytes

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return _ENTRY_BYTES + len(self.body) + len(self.properties) + len(self.answer)


_ENTRY_BYTES = 300
_pack, _unpack = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(Prepared).decode


class SharedLists:
    """Lists that gateways share, by ETag; a list of another reader, time or model has another one, so none is ever deleted."""

    def __init__(self, shared: SharedRedis) -> None:
        """`shared`: the Redis of all gateways."""
        self._shared = shared
        self._sending: set[asyncio.Task[Any]] = set()

    async def get(self, etag: str) -> Prepared | None:
        """A list that a gateway has made; None if there is none, or Redis is away."""
        found = await self._shared.run(lambda redis: redis.get(_key(etag)))
        return _prepared_of(found) if isinstance(found, bytes) else None

    def keep(self, prepared: Prepared) -> None:
        """Give a list to other gateways; the answer does not wait for that."""
        content = _pack(prepared)
        run = self._shared.run(lambda redis: redis.set(_key(prepared.etag), content, ex=KEPT_SECONDS))
        task = asyncio.ensure_future(run)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)


def _key(etag: str) -> str:
    return f"recsys:list:{FORMAT}:{etag.strip(chr(34))}"


def _prepared_of(content: bytes) -> Prepared | None:
    """The list; None if a gateway of another version wrote it in another form."""
    try:
        return _unpack(content)
    except msgspec.MsgspecError:
        return None
