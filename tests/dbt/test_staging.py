"""What staging makes of real-looking records of three trackers: names, bots, hashes, history, and nothing personal."""

import datetime as dt
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.adapters.factory import reset_adapters
from dbt.cli.main import dbtRunner

from tests.support.dbt_world import PROJECT
from tests.support.salted import EPOCH, SALT, TIME, put_salt, salted

ADDRESSES = ("ann@mail.example", "ANN@MAIL.EXAMPLE", "ann%40mail.example", "203.0.113.77", "+4915550142")

Record = dict[str, Any]
NewWorld = Callable[[], Any]


def segment(key: str, **more: Any) -> Record:
    base = {"type": "track", "event": "Book Viewed", "messageId": key, "userId": "u1", "timestamp": TIME}
    return {**base, "properties": {"book_id": "b1"}, **more}


def pinpoint(event: str = "book_viewed", **more: Any) -> Record:
    base = {"event_type": event, "event_timestamp": EPOCH * 1000, "client": {"client_id": "c1"}}
    return {**base, "attributes": {"book_id": "b1"}, **more}


def matomo(rand: str, **more: Any) -> Record:
    return {"idsite": 1, "_id": "v1", "cdt": EPOCH, "rand": rand, **more}


def personal_records() -> dict[str, list[Record]]:
    """E-mail addresses, IP addresses and a phone number wherever a tracker may put them."""
    ann, quoted, ip, phone = "ann@mail.example", "ann%40mail.example", "203.0.113.77", "+4915550142"
    contact = {"email": ann, "phone": phone, "ip": ip}
    headers = {"destination": [ann], "common_headers": {"to": [ann]}}
    click = {"ip_address": ip, "user_agent": "Mozilla/5.0", "link": f"https://app.example/?m={quoted}"}
    wrapped = json.dumps({"Address": ann, "User": {"UserId": "u1", "UserAttributes": {"email": [ann]}}})
    return {
        "segment": [
            segment("s1", context={"ip": ip, "traits": contact}, properties={"book_id": "b1", **contact}),
            segment("s2", type="identify", traits={**contact, "plan": "annual"}, context={"ip": ip}),
            segment("s3", type="page", name=f"Reset for {ann}", context={"page": {"url": f"/?email={quoted}"}}),
            segment("s4", event="Books Searched", properties={"query": "ANN@MAIL.EXAMPLE notes", "label": ann}),
            segment("s5", event=f"Invited {ann}", properties={"value": ann}),
            segment("s6", type="group", groupId=f"family of {ann}"),
            segment("s7", event="Book Rated", properties={"rating": 9, **contact}),
            segment(
                "s8",
                userId=ann,
                anonymousId=ann,
                properties={"book_id": "b1", "plan": ann, "currency": ann, "store": ann},
            ),
            segment(f"welcome {ann}", context={"locale": ann}, properties={"book_id": ann}),
            segment("s9", type="alias", userId="u1", previousId=ann),
            segment(
                "s10", properties=dict.fromkeys(("book_id", "request_id", "surface", "model", "variant"), f"at {ann}")
            ),
            segment(
                "s11",
                event="Recommendations Viewed",
                properties={
                    **dict.fromkeys(
                        ("request_id", "surface", "model", "model_version", "experiment", "variant"), "any"
                    ),
                    "items": [{"book_id": ann}, {"book_id": quoted, "label": ann}],
                },
            ),
        ],
        "pinpoint": [
            pinpoint(endpoint={"Address": ann, "User": {"UserId": "u1", "UserAttributes": {"email": [ann]}}}),
            pinpoint("books_searched", attributes={"query": ann, **contact}),
            pinpoint("_email.click", facets={"email_channel": {"mail_event": {"mail": headers, "click": click}}}),
            pinpoint(client={"client_id": ann}, attributes={"book_id": "b1", "plan": ann, "store": ann}),
            pinpoint("_SMS.SUCCESS", attributes={"destination_phone_number": phone}),
            pinpoint("_campaign.send", client_context={"custom": {"endpoint": wrapped}}),
        ],
        "matomo": [
            matomo("1", cip=ip, url=f"https://app.example/?email={quoted}", action_name=f"Hello {ann}"),
            matomo("2", cip=ip, search=ann, search_cat=ann),
            matomo("3", cip=ip, e_c="Letter", e_a=f"sent to {ann}", e_n=quoted, e_v=ann),
            matomo("5", uid=ann, _id=ann, dimension2=ann, dimension3=ann, dimension4=ann),
            matomo("4", cip=ip, link=f"https://store.example/?m={quoted}", urlref=f"https://x.example/{ann}"),
        ],
    }


def build_with_logs(world: Any) -> None:
    """`dbt build` as `World.dbt` runs it, but with all of its logs in a file."""
    folders = {"project-dir": PROJECT, "profiles-dir": PROJECT, "target-path": world.target, "log-path": world.home}
    options = [part for name, folder in folders.items() for part in (f"--{name}", str(folder))]
    reset_adapters()  # type: ignore[no-untyped-call]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECSYS_HOME", str(world.home))
        arguments = ["build", "--quiet", "--log-level-file", "debug", "--exclude-resource-type", "unit_test", *options]
        result = dbtRunner(manifest=world.manifest).invoke(arguments)
    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    assert result.success, result.exception


@pytest.fixture(scope="module")
def private(new_world: NewWorld) -> Any:
    """A salted world of personal records, built and documented with everything that dbt can write switched on."""
    world = new_world()
    put_salt(world)
    for source, records in personal_records().items():
        world.load(source, *records)
        world.load(source, *records, hour="2026/11/22/11")
    world.snapshot("user", "2026-11-22", {"user_id": "u1", "email": " Ann@mail.example", "phone": "+4915550142"})
    world.snapshot(
        "book",
        "2026-11-22",
        {"book_id": "ann@mail.example", "title": "For ann@mail.example", "author": "ann@mail.example"},
    )
    build_with_logs(world)
    assert world.dbt("docs", "generate").success
    return world


@pytest.mark.slow
def test_no_address_leaves_raw(private: Any) -> None:
    tables = private.tables()
    text = json.dumps(tables, default=str, ensure_ascii=False)
    assert len(tables["marts.fct_events"]) == 22
    assert "[email]" in text
    assert [address for address in ADDRESSES if address in text] == []


@pytest.mark.slow
def test_ip_addresses_leave_as_salted_hashes(private: Any) -> None:
    hashed = "select distinct ip_hash from staging.stg_{}__events where ip_hash is not null"
    assert private.rows(hashed.format("segment")) == [(salted("203.0.113.77"),)]
    assert private.rows(hashed.format("matomo")) == [(salted("203.0.113.77"),)]
    assert private.rows(hashed.format("pinpoint")) == []


@pytest.mark.slow
def test_email_addresses_leave_as_salted_hashes(private: Any) -> None:
    assert private.rows("select email_hash from staging.stg_attributes__users") == [(salted("ann@mail.example"),)]
    assert private.rows("select email_hash from marts.dim_users") == [(salted("ann@mail.example"),)]


@pytest.mark.slow
def test_the_salt_is_in_no_file_that_dbt_writes_and_in_no_table_it_builds(private: Any) -> None:
    files = [path for path in private.home.rglob("*") if path.is_file() and path.suffix != ".duckdb"]
    assert {"manifest.json", "catalog.json", "run_results.json", "dbt.log"} <= {path.name for path in files}
    assert any(path.suffix == ".sql" for path in files)
    assert [path for path in files if SALT in path.read_text(errors="replace")] == []
    assert SALT not in json.dumps(private.tables(), default=str)


@pytest.mark.slow
def test_unknown_properties_are_kept_in_raw(private: Any) -> None:
    sql = "select record ->> '$.properties.phone' from raw.engagement_events where record ->> '$.messageId' = 's1'"
    assert private.rows(sql) == [("+4915550142",)] * 2


def test_without_a_salt_there_are_no_hashes(world: Any) -> None:
    world.load("segment", segment("s1", context={"ip": "203.0.113.77"}))
    world.snapshot("user", "2026-11-22", {"user_id": "u1", "email": "ann@mail.example"})
    world.build("--select", "staging")
    assert world.rows("select ip_hash from staging.stg_segment__events") == [(None,)]
    assert world.rows("select email_hash from staging.stg_attributes__users") == [(None,)]


def test_an_id_that_is_an_address_leaves_as_its_hash_and_still_joins(world: Any) -> None:
    put_salt(world)
    ann, hashed = "Ann@mail.example", salted("Ann@mail.example")
    world.load("segment", segment("s1", userId=ann, anonymousId="a1"))
    world.load("matomo", matomo("1", uid=ann, url="https://app.example/"))
    world.snapshot("user", "2026-11-22", {"user_id": ann, "tier": "premium"}, {"user_id": "u2"})
    world.build("--select", "+fct_events", "+dim_users")
    assert world.rows("select distinct user_id from marts.fct_events") == [(hashed,)]
    assert world.rows("select user_id from marts.dim_users where tier = 'premium'") == [(hashed,)]


@pytest.mark.slow
def test_without_a_salt_an_id_that_is_an_address_is_nobody(world: Any) -> None:
    world.load("segment", segment("s1", userId="ann@mail.example", anonymousId=None))
    world.snapshot("user", "2026-11-22", {"user_id": "ann@mail.example"}, {"user_id": "u2"})
    world.build("--select", "+dim_users", "+rpt_invalid_events")
    assert world.rows("select invalid_reason from marts.rpt_invalid_events") == [("visitor_missing",)]
    assert world.rows("select user_id from marts.dim_users") == [("u2",)]


def test_an_id_is_one_person_however_its_address_is_written_and_a_version_is_no_address(world: Any) -> None:
    put_salt(world)
    shown = {"book_id": "b@1.2", "request_id": "r@10.0.0.1", "model_version": "lightfm@2026.11.22"}
    world.load("segment", segment("s1", userId="ann@mail.example", properties=shown), segment("s2", userId="team@home"))
    world.load("matomo", matomo("1", uid="ann%40mail.example", url="https://app.example/"))
    world.build("--select", "staging")
    union = "select user_id from staging.stg_segment__events union select user_id from staging.stg_matomo__events order by 1"
    assert world.rows(union) == sorted([(salted("ann@mail.example"),), ("team@home",)])
    kept = "select book_id, request_id, model_version from staging.stg_segment__events where event_id = 's1'"
    assert world.rows(kept) == [tuple(shown.values())]


def test_the_content_hash_tells_another_event_from_another_delivery(world: Any) -> None:
    first = segment("first", traits={"plan": "annual", "email": "ann@mail.example"})
    world.load(
        "segment",
        first,
        {**first, "messageId": "again", "sentAt": TIME, "context": {"ip": "203.0.113.77"}},
        {**first, "messageId": "new address", "traits": {"plan": "annual", "email": "lee@mail.example"}},
        {**first, "messageId": "another book", "properties": {"book_id": "b2"}},
        {**first, "messageId": "unknown property", "properties": {"book_id": "b1", "mood": "calm"}},
        {**first, "messageId": "another reader", "userId": "u2"},
        {**first, "messageId": "another event", "event": "Book Started"},
    )
    world.build("--select", "stg_segment__events")
    hashes = dict(world.rows("select event_id, content_hash from staging.stg_segment__events"))
    same = {key for key, value in hashes.items() if value == hashes["first"]}
    assert same == {"first", "again", "new address"}
    assert len(set(hashes.values())) == 5


def test_bots_are_flagged_on_every_tracker(world: Any) -> None:
    bot = "Mozilla/5.0 (compatible; ReadingBot/1.0)"
    world.load(
        "segment",
        segment("bot", context={"userAgent": bot}),
        segment("snake bot", context={"user_agent": bot}),
        segment("crawler", context={"device": {"type": "Crawler"}}),
        segment("reader", context={"userAgent": "Mozilla/5.0 Firefox/140.0"}),
    )
    world.load("matomo", matomo("1", ua=bot), matomo("2", ua="Mozilla/5.0 Firefox/140.0"))
    world.load("pinpoint", pinpoint(device={"model": "HeadlessChrome"}), pinpoint("x", device={"model": "iPhone"}))
    world.build("--select", "staging")
    assert world.rows("select event_id from staging.stg_segment__events where not is_bot") == [("reader",)]
    for source in ("matomo", "pinpoint"):
        assert world.rows(f"select is_bot from staging.stg_{source}__events order by record_index") == [
            (True,),
            (False,),
        ]


def test_the_seed_knows_sign_out_and_amazons_own_events(world: Any) -> None:
    world.build("--select", "event_names")
    names = {(source, event): name for source, event, name in world.rows("from staging.event_names")}
    out = ("Signed Out", "User Signed Out", "Logged Out", "User Logged Out")
    assert {names["segment", event] for event in out} == {"User Signed Out"}
    assert names["pinpoint", "user_signed_out"] == names["matomo", "User Logged Out"] == "User Signed Out"
    assert {names["segment", event] for event in ("Signed In", "User Signed In", "Logged In")} == {"User Signed In"}
    assert names["pinpoint", "_email.open"] == "Email Opened"
    assert all(name == name[0].upper() + name[1:] and " " in name for name in names.values())


def test_requests_and_emails_that_differ_are_different_events(world: Any) -> None:
    seen = matomo("1", action_name="Home", r="11", pv_id="p1")
    orders = [matomo("1", idgoal=0, ec_id=key, revenue=9) for key in ("o1", "o2")]
    cart = matomo("1", idgoal=0, revenue=9)
    world.load("matomo", seen, {**seen, "r": "12"}, {**seen, "pv_id": "p2"}, {**seen, "cdo": 60}, *orders, cart, seen)
    opened = pinpoint("_email.open", attributes={"feedback": "opened"}, arrival_timestamp=EPOCH * 1000 + 60_000)
    again = {**opened, "arrival_timestamp": EPOCH * 1000 + 120_000}
    other = {**opened, "facets": {"email_channel": {"mail_event": {"mail": {"message_id": "m2"}}}}}
    world.load("pinpoint", opened, again, other, opened)
    world.build("--select", "stg_matomo__events", "stg_pinpoint__events")
    for tracker, records, events in (("matomo", 8, 7), ("pinpoint", 4, 3)):
        found = world.rows(f"select count(*), count(distinct event_id) from staging.stg_{tracker}__events")
        assert found == [(records, events)]


@pytest.mark.slow
def test_words_for_nobody_make_no_reader_of_two_devices(world: Any) -> None:
    for number, word in enumerate(
        ("undefined", "null", "[object Object]", "00000000-0000-0000-0000-000000000000", " ")
    ):
        for device in ("a1", "a2"):
            world.load("segment", segment(f"{number}{device}", userId=word, anonymousId=device))
    world.load(
        "segment", segment("7", userId=None, anonymousId="undefined"), segment("8", properties={"book_id": ["b1"]})
    )
    world.load("matomo", matomo("9", _id="a3", uid="null", e_c="Book", e_a="Viewed", e_n="undefined"))
    world.build("--select", "+fct_events", "+rpt_invalid_events")
    assert world.rows("select distinct user_id, visitor_id from marts.fct_events order by all") == [
        (None, "a1"),
        (None, "a2"),
    ]
    reasons = world.rows("select invalid_reason, count(*) from marts.rpt_invalid_events group by all order by all")
    assert reasons == [("book_id_missing", 2), ("visitor_missing", 1)]


def test_the_page_of_events_names_every_line_of_the_seed(world: Any) -> None:
    world.build("--select", "event_names")
    page = (PROJECT.parent / "docs" / "events.md").read_text()
    assert [
        name for (name,) in world.rows("select distinct event_name from staging.event_names") if name not in page
    ] == []


BOOK = {"book_id": "b1", "title": "Sleep", "categories": ["sleep"]}
D20, D21, D22 = (dt.date(2026, 11, day) for day in (20, 21, 22))
BOOKS = "select book_id, title, valid_from, valid_to from marts.dim_books_history order by all"
USERS = "select user_id, tier, valid_from, valid_to from marts.dim_users_history order by all"


def build_history(world: Any, *arguments: str, sql: str = BOOKS) -> list[tuple[Any, ...]]:
    """The history, of books unless the query is about readers, after one more build with its tests."""
    [name] = re.findall("marts.(dim_\\w+)", sql)
    selected = ("--select", f"+{name}")
    assert world.dbt("build", "--exclude-resource-type", "unit_test", *selected, *arguments).success
    rows: list[tuple[Any, ...]] = world.rows(sql)
    return rows


@pytest.mark.slow
def test_history_has_a_row_for_each_version_and_closes_what_vanished(world: Any) -> None:
    calm, gone = {**BOOK, "book_id": "calm"}, {**BOOK, "book_id": "gone"}
    world.snapshot("book", "2026-11-20", BOOK, calm, gone)
    build_history(world)
    world.snapshot("book", "2026-11-21", {**BOOK, "title": "Sleep well"}, calm)
    expected = [
        ("b1", "Sleep", D20, D21),
        ("b1", "Sleep well", D21, None),
        ("calm", "Sleep", D20, None),
        ("gone", "Sleep", D20, D21),
    ]
    assert build_history(world) == expected
    assert build_history(world) == expected, "built twice"
    assert build_history(world, "--full-refresh") == expected, "rebuilt from nothing"

    world.snapshot("book", "2026-11-22", {**BOOK, "title": "Sleep well"}, calm, gone)
    assert build_history(world) == [*expected, ("gone", "Sleep", D22, None)]


@pytest.mark.slow
def test_history_of_readers_follows_their_tier(world: Any) -> None:
    world.snapshot("user", "2026-11-20", {"user_id": "u1", "tier": "free"})
    build_history(world, sql=USERS)
    world.snapshot("user", "2026-11-21", {"user_id": "u1", "tier": "premium"})
    assert build_history(world, sql=USERS) == [("u1", "free", D20, D21), ("u1", "premium", D21, None)]


@pytest.mark.slow
def test_a_day_that_is_fetched_again_has_two_versions_with_ids_of_their_own(world: Any) -> None:
    for tier in ("free", "premium", "free"):
        with world.connect() as con:
            con.execute("delete from raw.user_attributes")
        world.snapshot("user", "2026-11-20", {"user_id": "u1", "tier": tier}, {"user_id": "u2", "tier": "free"})
        build_history(world, sql=USERS)
    world.snapshot("user", "2026-11-21", {"user_id": "u1", "tier": "premium"})
    assert build_history(world, sql=USERS) == [
        ("u1", "free", D20, D20),
        ("u1", "free", D20, D21),
        ("u1", "premium", D20, D20),
        ("u1", "premium", D21, None),
        ("u2", "free", D20, D21),
    ]
    assert world.rows("select count(*) - count(distinct version_id) from marts.dim_users_history") == [(0,)]


@pytest.mark.slow
def test_history_of_nothing_is_an_empty_table_that_a_first_snapshot_fills(world: Any) -> None:
    assert build_history(world) == []
    world.snapshot("book", "2026-11-20", BOOK)
    assert build_history(world) == [("b1", "Sleep", D20, None)]
