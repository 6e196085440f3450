"""What is appended to `raw` is appended once, whoever appends it."""

from recsys_platform.ingestion.decoding import validated_batches
from recsys_platform.ingestion.reconciliation import account
from recsys_platform.warehouse.port import LoadReport


def test_a_batch_that_comes_again_adds_only_the_objects_that_are_not_known(hub, warehouse, land, view):
    land("a.gz", view("m1"), b"oops")
    land("b.gz", view("m2"))
    first, second = hub.objects("engagement_events/")
    [one], [both] = list(validated_batches(hub, [[first]])), list(validated_batches(hub, [[first, second]]))
    with warehouse.raw_writer() as writer:
        assert writer.append(one) == LoadReport(objects=1, records=2, accepted=1, rejected=1)
        assert writer.append(both) == LoadReport(objects=1, records=1, accepted=1, rejected=0)
        assert writer.append(both) == LoadReport()
        assert writer.known_keys([first.key, "another"]) == {first.key}
    found = account(warehouse)
    assert (found.objects, found.records, found.accepted, found.rejected, found.broken) == (2, 3, 2, 1, ())
