"""What other deliveries wrote becomes landing objects, exactly once, whatever stands around the records."""

import base64
import datetime as dt
import gzip
import json

import pytest

from recsys_platform.common.errors import InputError
from recsys_platform.hub.layout import LANDING
from recsys_platform.hub.local import FolderHub
from recsys_platform.ingestion.framing import split_records
from recsys_platform.ingestion.loading import load_events
from recsys_platform.sources.event_import import import_events
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

DAY = "1795305600000"  # 2026-11-22
ONE = {"type": "track", "messageId": "m1", "userId": "u1", "timestamp": "2026-11-22T09:30:00Z"}
TWO = {"type": "track", "messageId": "m2", "userId": "u2", "timestamp": "2026-11-22T09:45:00Z"}
NOON = dt.datetime(2026, 11, 22, 12, 5)


def packed(*values):
    return base64.b64encode("".join(json.dumps(value) for value in values).encode()).decode()


def failure(*values, **more):
    document = {"attemptsMade": 4, "arrivalTimestamp": 1795338000000, "errorCode": "Lambda.FunctionError"}
    return {**document, "attemptEndingTimestamp": 1795341600000, "rawData": packed(*values), **more}


def lines(*values):
    return "\n".join(json.dumps(value) for value in values).encode()


def brought_in(tmp_path, name, data, **options):
    """What lands of one file: the hour of arrival and the record, in order of arrival; and the summary."""
    file = tmp_path / "theirs" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    hub = FolderHub(tmp_path / "hub")
    summary = import_events(hub, str(tmp_path / "theirs"), **options)
    found = []
    for item in hub.objects(f"{LANDING}/"):
        for piece in split_records(hub.get(item.key)):
            found.append((item.key.split("/")[-2], piece.reason or json.loads(piece.text)))
    return found, summary


WRAPPED = {
    "lines": lines(ONE, TWO),
    "an array": lines([ONE, TWO]),
    "an array of several lines": json.dumps([ONE, TWO], indent=1).encode(),
    "a batch": lines({"batch": [ONE, TWO], "writeKey": "k"}),
    "failure documents": lines(failure(ONE), failure(TWO)),
    "a failure document of both": lines(failure(ONE, TWO)),
    "a packed record in a failure document": lines(
        failure(rawData=base64.b64encode(gzip.compress(lines(ONE, TWO))).decode())
    ),
    "a reply": lines(
        {"records": [{"recordId": str(n), "result": "Ok", "data": packed(each)} for n, each in enumerate((ONE, TWO))]}
    ),
    "what a function is sent": lines({"invocationId": "i", "records": [{"recordId": "1", "data": packed(ONE, TWO)}]}),
    "a batch in a reply in a failure document": lines(
        failure({"records": [{"recordId": "1", "result": "Ok", "data": packed({"batch": [ONE, TWO]})}]})
    ),
}


@pytest.mark.parametrize("name", WRAPPED)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_records_are_taken_out_of_what_stands_around_them(tmp_path, name, pack):
    found, summary = brought_in(tmp_path, "x.gz", pack(WRAPPED[name]), source="segment")
    assert [record for _, record in found] == [ONE, TWO]
    assert {hour for hour, _ in found} == {"09"}
    assert (summary.records, summary.objects, summary.refused) == (2, 1, [])


def test_segment_names_days_by_milliseconds_and_its_records_arrive_on_that_day(tmp_path):
    found, _ = brought_in(tmp_path, f"segment-logs/source1/{DAY}/a.gz", gzip.compress(lines(ONE, TWO)))
    assert found == [("09", ONE), ("09", TWO)]
    assert brought_in(tmp_path, "segment-logs/source1/dummy-object.txt", b"Test")[1].files == 1


def test_an_import_again_adds_nothing(tmp_path):
    brought_in(tmp_path, "2026/11/22/10/a.gz", lines(failure(ONE), TWO), source="segment")
    found, again = brought_in(tmp_path, "2026/11/22/10/a.gz", lines(failure(ONE), TWO), source="segment")
    assert (again.objects, again.known, len(found)) == (2, 2, 2)


def test_what_a_batch_says_once_holds_for_each_of_its_calls(tmp_path):
    batch = {
        "batch": [{**ONE, "context": {"ip": "192.0.2.1"}}, TWO],
        "sentAt": "2026-11-22T09:50:00Z",
        "context": {"locale": "de", "ip": "0"},
    }
    (_, one), (_, two) = brought_in(tmp_path, "x.json", lines(batch), source="segment")[0]
    assert one["context"] == {"locale": "de", "ip": "192.0.2.1"}
    assert two["context"] == batch["context"]
    assert one["sentAt"] == two["sentAt"] == batch["sentAt"]


def test_what_a_transformation_dropped_stays_dropped_and_what_it_could_not_read_comes_in(tmp_path):
    reply = [
        {"recordId": "1", "result": "Dropped", "data": packed(ONE)},
        {"recordId": "2", "result": "ProcessingFailed", "data": packed(TWO)},
    ]
    found, summary = brought_in(tmp_path, "x.json", lines({"records": reply}), source="segment")
    assert [record for _, record in found] == [TWO]
    assert summary.dropped == 1


def test_what_cannot_be_read_is_brought_in_to_be_rejected(tmp_path):
    found, _ = brought_in(
        tmp_path, "2026/11/22/10/x.json", b"oops\n" + lines(ONE, failure(rawData="***")), source="segment"
    )
    assert [record if isinstance(record, str) else record.get("messageId") for _, record in found][1:] == [
        "not JSON: expecting value",
        "m1",
    ]
    assert found[0][1]["rawData"] == "***"


def test_bytes_that_are_not_utf_8_stay_what_they_are(tmp_path):
    data = lines(ONE) + b'\n{"messageId": "m2", "userId": "\xff"}\n'
    found, _ = brought_in(
        tmp_path, "x.json", data + lines(failure(rawData=base64.b64encode(data).decode())), source="segment"
    )
    assert [record for _, record in found] == [ONE, "not UTF-8", ONE, "not UTF-8"]


REQUESTS = {
    "query strings": b"?idsite=1&rec=1&_id=a1&action_name=Home%20%26%20more&r=12\n?idsite=1&rec=1&uid=u1&e_c=Book&e_a=Viewed&e_n=b1\n",
    "addresses": b"https://stats.example/matomo.php?idsite=1&rec=1&_id=a1&action_name=Home%20%26%20more&r=12\n"
    b"GET /piwik.php?idsite=1&rec=1&uid=u1&e_c=Book&e_a=Viewed&e_n=b1 HTTP/1.1\n",
    "bare queries": b"idsite=1&rec=1&_id=a1&action_name=Home+%26+more&r=12\nrec=1&idsite=1&uid=u1&e_c=Book&e_a=Viewed&e_n=b1\n",
    "bulk": lines(
        {
            "requests": [
                "?idsite=1&rec=1&_id=a1&action_name=Home%20%26%20more&r=12",
                "?idsite=1&rec=1&uid=u1&e_c=Book&e_a=Viewed&e_n=b1",
            ],
            "token_auth": "secret",
        }
    ),
    "bulk of objects": lines(
        {"requests": [
            {"idsite": "1", "rec": "1", "_id": "a1", "action_name": "Home & more", "r": "12"},
            {"idsite": "1", "rec": "1", "uid": "u1", "e_c": "Book", "e_a": "Viewed", "e_n": "b1", "token_auth": "secret"},
        ]}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REQUESTS)
def test_requests_to_matomo_land_with_the_time_of_their_arrival(tmp_path, name):
    found, _ = brought_in(tmp_path, "requests.log", REQUESTS[name], source="matomo", arrived_at=NOON)
    common = {"idsite": "1", "rec": "1", "cdt": "2026-11-22 12:05:00"}
    assert found == [
        ("12", {**common, "_id": "a1", "action_name": "Home & more", "r": "12"}),
        ("12", {**common, "uid": "u1", "e_c": "Book", "e_a": "Viewed", "e_n": "b1"}),
    ]


def test_a_request_with_a_time_keeps_it(tmp_path):
    found, _ = brought_in(tmp_path, "requests.log", b"?idsite=1&_id=a1&cdt=1795338000&cdo=60", source="matomo")
    assert found == [("09", {"idsite": "1", "_id": "a1", "cdt": "1795338000", "cdo": "60"})]


def test_imported_requests_are_accepted_at_load_and_others_rejected_by_the_key_that_is_missing(tmp_path):
    data = b"?idsite=1&rec=1&_id=a1\n?idsite=1&rec=1\n?idsite=&rec=1&_id=a1\n"
    brought_in(tmp_path, "2026/11/22/12/requests.log", data, source="matomo")
    warehouse, hub = DuckDBWarehouse(tmp_path / "warehouse.duckdb"), FolderHub(tmp_path / "hub")
    warehouse.prepare()
    report = load_events(hub, warehouse, list(hub.objects(f"{LANDING}/")))
    assert (report.accepted, report.rejected) == (1, 2)
    reasons = warehouse.frame("select reason from raw.rejected_records order by 1")["reason"].to_pylist()
    assert reasons == ["no site id (idsite)", "no user or visitor id (uid, _id, cid)"]


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        (b"?idsite=1&rec=1&_id=a1", {"source": "matomo"}, "has no arrival time.*--arrived-at"),
        (lines(ONE), {}, "does not name a tracker: give --source segment"),
        (gzip.compress(lines(ONE) * 50)[:-20], {"source": "segment"}, "is a truncated gzip: fetch it again"),
    ],
)
def test_a_file_that_cannot_be_placed_or_read_whole_is_named_and_nothing_of_it_lands(tmp_path, data, options, said):
    found, summary = brought_in(tmp_path, "x.log", data, **options)
    assert found == []
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(summary.refused[0])


def test_a_place_without_files_is_named(tmp_path):
    with pytest.raises(InputError, match="There is no file or folder"):
        import_events(FolderHub(tmp_path / "hub"), str(tmp_path / "nowhere"))


SECRETS = {
    "an object": b'{"idsite":1,"_id":"a","token_auth":"secret"}',
    "no list of requests": b'{"requests":"x","token_auth":"secret"}',
    "below": b'{"idsite":1,"_id":"a","more":[{"token_auth":"secret"}]}',
    "an address in a record": b'{"idsite":1,"_id":"a","url":"https://x.example/?a=1&token_auth=secret&b=2"}',
    "a query without a site": b"?rec=1&token_auth=secret&_id=a",
    "an encoded query": b"?rec=1&url=x%3Ftoken%5Fauth%3Dsecret%26b",
    "a line that is no request": b"POST /matomo.php?idsite=1&token_auth=secret HTTP/1.1 200 12",
    "a bulk of no queries": b'{"requests":["rec=1 token_auth=secret","{\\"token_auth\\": \\"secret\\"}", 5]}',
    "broken": b'{"idsite":1,"token_auth" : "secret","_id":',
    "cut": b'{"idsite":1,"token_auth":"sec',
}


@pytest.mark.parametrize("name", SECRETS)
def test_the_secret_of_matomo_never_lands(tmp_path, name):
    brought_in(tmp_path, "x.log", SECRETS[name], source="matomo", arrived_at=NOON)
    landed = b"".join(
        FolderHub(tmp_path / "hub").get(o.key) for o in FolderHub(tmp_path / "hub").objects(f"{LANDING}/")
    )
    text = gzip.decompress(landed)
    assert text
    assert b"sec" not in text


def test_kinesis_tells_seconds_and_firehose_milliseconds(tmp_path):
    for folder, arrival in (("s", 1795338000.25), ("ms", 1795338000250)):
        record = {"kinesis": {"data": packed(TWO), "approximateArrivalTimestamp": arrival}}
        found, summary = brought_in(tmp_path / folder, "x.json", lines({"Records": [record]}), source="segment")
        assert (found, summary.refused) == ([("09", TWO)], [])


@pytest.mark.parametrize(
    ("name", "data", "options"),
    [
        ("x.json", lines(failure(ONE, arrivalTimestamp=5e8)), {}),
        ("1985/11/05/20/x.json", lines(ONE), {}),
        ("x.json", lines({"type": "track"}), {"arrived_at": dt.datetime(1999, 12, 31)}),
    ],
)
def test_an_arrival_before_the_first_day_is_refused(tmp_path, name, data, options):
    found, summary = brought_in(tmp_path, name, data, source="segment", **options)
    assert found == []
    assert "before the first day that is loaded (2000-01-01)" in summary.refused[0]


def test_what_a_record_says_of_its_arrival_goes_before_what_is_given(tmp_path):
    silent = {"type": "track", "messageId": "m3"}
    old_clock = {**silent, "timestamp": "1970-01-01T00:00:09Z"}
    found, _ = brought_in(tmp_path, "x.json", lines(ONE, silent, old_clock), source="segment", arrived_at=NOON)
    assert found == [("09", ONE), ("12", silent), ("12", old_clock)]


def test_a_call_of_a_batch_that_says_null_takes_what_the_batch_says(tmp_path):
    shared = {"receivedAt": "2026-11-22T08:00:00Z", "context": {"locale": "de"}}
    batch = {**shared, "batch": [{**ONE, "receivedAt": None, "context": None}]}
    found, _ = brought_in(tmp_path, "x.json", lines(batch), source="segment", arrived_at=NOON)
    assert found == [("08", {**ONE, **shared})]


@pytest.mark.parametrize("days_ago", [0, 1, 400])
def test_when_segments_day_is_imported_decides_nothing(tmp_path, days_ago):
    now = dt.datetime.now(dt.UTC)
    day = dt.datetime(now.year, now.month, now.day, tzinfo=dt.UTC) - dt.timedelta(days=days_ago)
    said = {**ONE, "receivedAt": f"{day:%Y-%m-%d}T00:09:00Z"}
    silent, of_other_days = {"type": "track", "messageId": "m3"}, {**ONE, "timestamp": "2001-02-03T09:30:00Z"}
    name = f"segment-logs/source1/{int(day.timestamp() * 1000)}/a.gz"
    found, _ = brought_in(tmp_path, name, gzip.compress(lines(silent, said, of_other_days, b"oops".decode())))
    assert [hour for hour, _ in found] == ["00"] * 4
    assert {item.key.rsplit("/", 1)[0] for item in FolderHub(tmp_path / "hub").objects(f"{LANDING}/")} == {
        f"{LANDING}/source=segment/{day:%Y/%m/%d}/00"
    }


def test_a_day_of_segment_that_goes_on_adds_what_is_new(tmp_path):
    """As it is imported twice a day and again on the next."""
    folder = f"segment-logs/source1/{DAY}"
    for number, record in enumerate((ONE, TWO, {**ONE, "messageId": "m3", "timestamp": "2026-11-22T19:30:00Z"})):
        found, _ = brought_in(tmp_path, f"{folder}/{number}.gz", gzip.compress(lines(record)))
    assert [hour for hour, _ in found] == ["09", "09", "19"]
