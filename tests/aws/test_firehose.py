"""The emulator for Firehose delivers into S3 as into a folder."""

import datetime as dt
import gzip

from recsys_platform.hub.layout import landing_prefix
from recsys_platform.hub.s3 import S3Hub
from recsys_platform.sources.firehose.emulator import DeliveryStream, FirehoseEmulator
from recsys_platform.sources.firehose.prefixes import landing_prefixes
from recsys_platform.sources.firehose.producer import send

ARRIVED = dt.datetime(2026, 11, 20, 5, tzinfo=dt.UTC)


def test_what_is_sent_becomes_a_landing_object_of_its_hour_in_s3(s3_hub: S3Hub) -> None:
    stream = DeliveryStream("events", *landing_prefixes("segment"), gzip=True, newline=True)
    firehose = FirehoseEmulator(s3_hub, stream, clock=lambda: ARRIVED)
    send(firehose, "events", [b'{"n":1}', b'{"n":2}'])
    firehose.flush()
    (found,) = s3_hub.objects(landing_prefix("segment", ARRIVED.date()))
    assert found.key.startswith("engagement_events/source=segment/2026/11/20/05/events-1-2026-11-20-05-00-00-")
    assert gzip.decompress(s3_hub.get(found.key)) == b'{"n":1}\n{"n":2}\n'
