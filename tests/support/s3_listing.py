"""A bucket of as many objects as one likes: it answers ListObjectsV2 from sorted keys in memory, and counts what it was asked."""

import bisect
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.servers import free_port

PAGE = 1000  # what S3 gives at most
_CONTENTS = (
    "<Contents><Key>{key}</Key><LastModified>2026-11-01T00:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>"
    "<Size>9</Size><StorageClass>STANDARD</StorageClass></Contents>"
)


@dataclass
class Bucket:
    """Keys in order, and the number of pages that were asked for."""

    keys: Sequence[str]
    requests: int = 0
    address: str = field(default="", init=False)

    def answer(self, request: Request) -> Response:
        """One page of the keys under a prefix."""
        self.requests += 1
        prefix, after = request.query_params["prefix"], request.query_params.get("continuation-token", "")
        start = max(bisect.bisect_left(self.keys, prefix), bisect.bisect_right(self.keys, after))
        stop = bisect.bisect_left(self.keys, prefix + "\U0010ffff")
        page = self.keys[start : min(start + PAGE, stop)]
        rest = start + PAGE < stop
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if rest else ""
        body = "".join(_CONTENTS.format(key=escape(key)) for key in page)
        return Response(
            f"<ListBucketResult><IsTruncated>{str(rest).lower()}</IsTruncated><KeyCount>{len(page)}</KeyCount>{token}{body}"
            "</ListBucketResult>",
            media_type="application/xml",
        )


@contextmanager
def serving(bucket: Bucket) -> Iterator[Bucket]:
    """The bucket on a free port of the loopback."""
    port = free_port()
    app = Starlette(routes=[Route("/{name}", bucket.answer)])
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    bucket.address = f"http://127.0.0.1:{port}"
    try:
        yield bucket
    finally:
        server.should_exit = True
        thread.join()
