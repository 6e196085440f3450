"""What the tables hold after dbt has run over records written by hand."""

import datetime as dt
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

pytestmark = (
    pytest.mark.slow
)  # whole builds; test_staging, test_interactions, test_likes and test_incremental have quicker ones

READER = {"user_id": "u1", "created_at": "2026-01-01T00:00:00Z", "country": "GB", "language": "en", "tier": "free"}
ANN = {**READER, "interests": ["sleep", "work"], "email": "ann@example.com"}
BOOK = {
    "book_id": "b1",
    "title": "Sleep",
    "author": "A",
    "language": "en",
    "categories": ["sleep"],
    "reading_minutes": 15,
}
MADE = "1 as rank, .5 as score, 'v1' as model_version, timestamp '2026-11-22 12:00:00' as generated_at"
PUBLISHED = {
    "user_recommendations": "'u1' as user_id, 'lightfm' as model, 'b1' as book_id, 'popular' as reason, "
    "'b2' as because_book_id",
    "similar_books": "'b1' as book_id, 'lightfm' as model, 'b2' as similar_book_id",
    "popular_books": "'all' as segment, 'b1' as book_id",
    "model_roles": "'lightfm' as model, 'production' as role, true as is_live, 'gate' as chosen_by, 'better' as why",
}
MORNING = dt.datetime(2026, 11, 22, 9, tzinfo=dt.UTC)


def at(minutes: float) -> dt.datetime:
    return MORNING + dt.timedelta(minutes=minutes)


def segment(
    key: str, event: str, minutes: float = 0, *, user: str | None = "u1", anonymous: str = "a1", **properties: Any
) -> dict[str, Any]:
    envelope = {"type": "track", "event": event, "messageId": key, "userId": user, "anonymousId": anonymous}
    context = {"locale": "en-GB", "ip": "203.0.113.7", "device": {"type": "ios"}}
    return {**envelope, "timestamp": at(minutes).isoformat(), "context": context, "properties": properties}


def signed_in(key: str, user: str, anonymous: str, minutes: float = 0) -> dict[str, Any]:
    traits = {"email": f"{user}@example.com", "plan": "annual"}
    return {
        "type": "identify",
        "messageId": key,
        "userId": user,
        "anonymousId": anonymous,
        "timestamp": at(minutes).isoformat(),
        "traits": traits,
    }


def pinpoint(
    event: str, minutes: float = 0, *, user: str = "u1", attributes: dict[str, str], metrics: dict[str, float]
) -> dict[str, Any]:
    device = {"locale": {"code": "en_GB"}, "platform": {"name": "ios"}}
    endpoint = {"User": {"UserId": user}}
    client = {"client_id": "a1"}
    time = round(at(minutes).timestamp() * 1000)
    return {
        "event_type": event,
        "event_timestamp": time,
        "client": client,
        "device": device,
        "endpoint": endpoint,
        "attributes": attributes,
        "metrics": metrics,
    }


def matomo(category: str, action: str, minutes: float = 0, *, user: str = "u1", **parameters: str) -> dict[str, Any]:
    time = str(round(at(minutes).timestamp()))
    return {
        "idsite": "1",
        "uid": user,
        "_id": "a1",
        "cdt": time,
        "cip": "203.0.113.7",
        "lang": "en-GB",
        "e_c": category,
        "e_a": action,
        **parameters,
    }


@pytest.fixture(scope="module")
def reading(new_world: Callable[[], Any]) -> Any:
    """A world with a bit of everything, built, and checked by every data test and unit test."""
    world = new_world()
    world.snapshot("user", "2026-11-21", ANN)
    world.snapshot("book", "2026-11-21", BOOK)
    world.load(
        "segment",
        segment("s1", "Book Viewed", -600, user=None, book_id="b1"),
        signed_in("s2", "u1", "a1", -599),
        segment("s3", "Book Rated", 0, book_id="b1", rating=4),
        segment("s4", "Book Rated", 0, book_id="b1", rating=9),
        segment("s5", "Confetti Thrown", 1, colour="red"),
    )
    world.load("segment", segment("s3", "Book Rated", 0, book_id="b1", rating=4), hour="2026/11/23/00")
    world.load("pinpoint", pinpoint("book_rated", 1, attributes={"book_id": "b1"}, metrics={"rating": 4.0}))
    world.load(
        "matomo",
        matomo("Book", "Rated", 2, e_n="b1", e_v="4"),
        matomo("Chapter", "Completed", 40, e_n="b1", e_v="3", dimension1="10"),
    )
    result = world.dbt("build")
    assert result.success, [(run.node.name, run.message) for run in result.result if run.status in {"error", "fail"}]
    return world


def test_three_trackers_tell_of_a_rating_in_the_same_words(reading: Any) -> None:
    columns = "event_name, record_type, user_id, anonymous_id, book_id, rating, locale"
    rows = reading.rows(
        f"select source, {columns} from marts.fct_events where event_name = 'Book Rated' order by source"
    )
    assert [row[0] for row in rows] == ["matomo", "pinpoint", "segment"]
    assert {row[1:] for row in rows} == {("Book Rated", "track", "u1", "a1", "b1", 4.0, "en-GB")}


def test_times_are_utc_whatever_the_tracker_writes(reading: Any) -> None:
    rows = reading.rows("select occurred_at from marts.fct_events where event_name = 'Book Rated' order by 1")
    assert [time for (time,) in rows] == [at(minutes).replace(tzinfo=None) for minutes in (0, 1, 2)]


def test_every_accepted_record_is_distinct_or_a_duplicate_or_invalid(reading: Any) -> None:
    first, second = dt.date(2026, 11, 22), dt.date(2026, 11, 23)
    assert reading.rows("from marts.rpt_event_conservation order by all") == [
        (first, "matomo", 2, 2, 0, 0),
        (first, "pinpoint", 1, 1, 0, 0),
        (first, "segment", 5, 4, 0, 1),
        (second, "segment", 1, 0, 1, 0),
    ]


def test_a_rating_of_nine_is_reported_with_its_reason(reading: Any) -> None:
    assert reading.rows("select event_id, invalid_reason from marts.rpt_invalid_events") == [
        ("s4", "rating_not_between_1_and_5")
    ]


def test_an_unknown_event_is_kept_under_its_own_name(reading: Any) -> None:
    assert reading.rows("select event_name from marts.fct_events where event_id = 's5'") == [("Confetti Thrown",)]


def test_the_visit_before_sign_in_is_the_readers(reading: Any) -> None:
    assert reading.rows("select user_id, is_stitched from marts.fct_events where event_id = 's1'") == [("u1", True)]


def test_sessions_run_across_trackers_and_end_after_half_an_hour(reading: Any) -> None:
    assert reading.rows("select events, duration_seconds from marts.fct_sessions order by started_at") == [
        (2, 60),
        (4, 120),
        (1, 0),
    ]


def test_an_interaction_adds_up_what_the_seed_says(reading: Any) -> None:
    viewed, chapter, rated = 0.5, 0.5, 4
    columns = "user_id, book_id, weight, events, rating, last_action, is_positive, is_finished"
    expected = ("u1", "b1", viewed + chapter + rated, 5, 4, "Chapter Completed", True, True)
    assert reading.rows(f"select {columns} from marts.fct_interactions") == [expected]


def test_attributes_are_typed(reading: Any) -> None:
    assert reading.rows("select interests, is_in_attributes, events from marts.dim_users") == [
        (["sleep", "work"], True, 7)
    ]
    assert reading.rows("select categories, reading_minutes, is_premium, is_available from marts.dim_books") == [
        (["sleep"], 15, False, True)
    ]


def test_no_email_and_no_ip_address_leaves_raw(reading: Any) -> None:
    text = json.dumps(reading.tables(), default=str)
    assert "s3" in text
    assert "@example.com" not in text
    assert "203.0.113.7" not in text


def test_building_again_changes_no_table(reading: Any) -> None:
    before = reading.tables()
    assert reading.build().tables() == before
    assert len(before["marts.fct_events"]) == 7


def test_bots_are_no_readers_visitors_or_sessions_of_the_daily_report(world: Any) -> None:
    world.load("segment", segment("s1", "Book Viewed", 5, book_id="b1"), segment("s2", "Book Viewed", 6, book_id="b1"))
    daily = "select * exclude (bot_events) from marts.rpt_daily_activity"
    people = world.build("--select", "+rpt_daily_activity").rows(daily)
    crawler = {"context": {"userAgent": "Mozilla/5.0 (compatible; GoogleOther)"}}
    crawled = [
        {**segment(f"g{n}", "Book Viewed", 7, user=None, book_id="b1"), "anonymousId": f"g{n}", **crawler}
        for n in range(40)
    ]
    other_day = {**crawled[0], "messageId": "g", "timestamp": "2026-11-20T09:00:00Z"}
    by_a_reader = {**segment("s3", "Book Finished", 8, book_id="b2"), **crawler}
    world.load("segment", *crawled, other_day, by_a_reader)
    world.build("--select", "+rpt_daily_activity")
    assert world.rows(f"{daily} where events > 0") == people
    bots = "select occurred_on, events, active_visitors, sessions, bot_events from marts.rpt_daily_activity order by 1"
    assert world.rows(bots) == [(dt.date(2026, 11, 20), 0, 0, 0, 1), (dt.date(2026, 11, 22), 2, 1, 1, 41)]


def test_messages_to_a_reader_and_renewals_are_no_visit(world: Any) -> None:
    """A newsletter and a bill on two days without a visit, beside a book that was opened."""
    world.load(
        "segment",
        segment("s1", "Book Viewed", 5, book_id="b1"),
        {
            **segment("s2", "Subscription Renewed", 0, price=9.99, plan="monthly", currency="EUR"),
            "timestamp": "2026-11-20T09:00:00Z",
        },
    )
    names = ("_email.send", "_campaign.send", "_email.open")
    world.load("pinpoint", *(pinpoint(name, 6 + at, attributes={}, metrics={}) for at, name in enumerate(names)))
    world.build("--select", "+rpt_active_readers", "+rpt_daily_activity")
    daily = world.rows("select occurred_on, active_visitors, events from marts.rpt_daily_activity order by 1")
    assert daily == [(dt.date(2026, 11, 20), 0, 0), (dt.date(2026, 11, 22), 1, 2)]


def test_a_snapshot_fetched_again_replaces_its_day(world: Any) -> None:
    world.snapshot("book", "2026-11-21", BOOK, {**BOOK, "book_id": "b2"})
    world.build("--select", "+dim_books")
    with world.connect() as con:
        con.execute("delete from raw.book_attributes")
    world.snapshot("book", "2026-11-21", {**BOOK, "title": "Sleep well"})
    world.build("--select", "+dim_books")
    assert world.rows("select book_id, title from marts.dim_books") == [("b1", "Sleep well")]


def test_a_new_name_in_the_seed_renames_what_was_loaded_before(world: Any, tmp_path: Path) -> None:
    world.load("segment", segment("s1", "Summary Closed", book_id="b1"))
    world.build("--select", "+fct_interactions")
    shutil.copytree(world.project, tmp_path / "dbt_project", ignore=shutil.ignore_patterns("target", "logs"))
    world.manifest, world.project = None, tmp_path / "dbt_project"
    with (world.project / "seeds" / "event_names.csv").open("a") as seed:
        seed.write("segment,Summary Closed,Book Finished\n")
    world.build("--select", "+fct_interactions")
    assert world.rows("select user_id, is_finished from marts.fct_interactions") == [("u1", True)]


def test_an_empty_warehouse_builds_into_empty_typed_tables(world: Any) -> None:
    filled = {name for name, rows in world.build().tables().items() if rows}
    seeds = {
        f"staging.{name}"
        for name in ("event_names", "event_weights", "exchange_rates", "kpi_inputs", "kpi_targets", "prices")
    }
    assert filled == {*seeds, "marts.dim_dates"}
    types = world.rows("select column_name, data_type from information_schema.columns where table_name = 'dim_users'")
    assert dict(types)["interests"] == "VARCHAR[]"


def test_a_row_lost_on_the_way_fails_a_test(world: Any) -> None:
    world.load("segment", segment("s1", "Book Viewed", book_id="b1"), segment("s2", "Book Viewed", book_id="b1"))
    world.build("--select", "+rpt_event_conservation")
    with world.connect() as con:
        con.execute("delete from marts.fct_events where event_id = 's2'")
    world.build("--select", "+rpt_event_conservation")
    result = world.dbt("test", "--select", "rpt_event_conservation")
    assert [run.node.test_metadata.name for run in result.result if run.status == "fail"] == ["is_conserved"]


def test_a_row_of_a_day_to_come_hides_no_other_from_tests_of_the_last_days(world: Any) -> None:
    world.load("segment", segment("s1", "Book Viewed", book_id="b1"))
    world.build("--select", "+fct_events")
    with world.connect() as con:
        con.execute("insert into marts.fct_events select * from marts.fct_events")
        con.execute("""
            insert into marts.fct_events
            select * replace ('s2' as event_id, date '2090-01-01' as arrived_on) from marts.fct_events limit 1""")
    result = world.dbt("test", "--select", "fct_events,test_name:unique")
    assert [run.node.test_metadata.name for run in result.result if run.status == "fail"] == ["unique"]


def test_published_tables_are_tested_on_every_key(world: Any) -> None:
    world.snapshot("user", "2026-11-21", ANN)
    world.snapshot("book", "2026-11-21", BOOK, {**BOOK, "book_id": "b2"})
    world.build("--select", "+dim_books", "+dim_users")
    with world.connect() as con:
        for table, columns in PUBLISHED.items():
            con.execute(f"create table published.{table} as select {columns}, {MADE}")
    assert world.dbt("test", "--selector", "published").success

    with world.connect() as con:
        con.execute("insert into published.user_recommendations from published.user_recommendations")
        con.execute("update published.popular_books set book_id = 'unheard of'")
    failed = [run.node.name for run in world.dbt("test", "--selector", "published").result if run.status == "fail"]
    assert sorted(failed) == [
        "source_relationships_published_popular_books_book_id__book_id__ref_dim_books_",
        "source_unique_combination_of_columns_published_user_recommendations_user_id__model__book_id",
        "source_unique_combination_of_columns_published_user_recommendations_user_id__model__rank",
    ]


def test_a_chain_of_many_aliases_leads_to_its_end_and_a_circle_nowhere(world: Any) -> None:
    pairs = [(f"id-{n}", f"id-{n + 1}") for n in range(30)] + [("x", "y"), ("y", "x")]
    alias = {"type": "alias", "timestamp": at(0).isoformat()}
    world.load("segment", *({**alias, "messageId": old, "previousId": old, "userId": new} for old, new in pairs))
    world.build("--select", "+int_user_aliases")
    sql = "select count(*), min(user_id), max(user_id) from intermediate.int_user_aliases"
    assert world.rows(sql) == [(30, "id-30", "id-30")]


@dataclass(frozen=True)
class Steps:
    """A world that was built, got more records and was built again: how it was before, and how it is."""

    before: Any
    after: Any
    keys: list[str]


@pytest.fixture(scope="module")
def steps(new_world: Callable[[], Any], tmp_path_factory: pytest.TempPathFactory) -> Steps:
    """Records of people who have nothing to do with each other: each of the tests below asks for its own."""
    world = new_world()
    world.snapshot("book", "2026-11-21", BOOK)
    first = world.load(
        "segment",
        segment("late-1", "Book Finished", 0, user=None, anonymous="late-a1", book_id="b1"),
        segment("late-2", "Book Viewed", 5, user="late-u2", anonymous="late-a2", book_id="b1"),
        segment("alias-1", "Book Started", 0, user="guest-7", anonymous="alias-a1", book_id="b1"),
        segment("again-1", "Book Viewed", 0, user="again-u1", anonymous="again-a1", book_id="b1"),
        segment("read-1", "Book Started", 5, user="read-u1", anonymous="read-a1", book_id="b1"),
        segment("read-2", "Book Viewed", 45, user=None, anonymous="read-a1", book_id="b1"),
        segment("two-1", "Book Started", 0, user="two-u1", anonymous="two-a1", book_id="b1"),
        segment("two-2", "Book Viewed", 1, user=None, anonymous="two-a1", book_id="b2"),
        segment("two-3", "Book Started", 2, user="two-u2", anonymous="two-a1", book_id="b3"),
        *(segment(f"f{n}", "Book Viewed", n / 200, user="fast", anonymous="fast-a", book_id="b1") for n in range(200)),
        *(segment(f"s{n}", "Book Viewed", n, user="slow", anonymous="slow-a", book_id="b1") for n in range(5)),
    )
    world.build()
    before = replace(world, home=Path(shutil.copytree(world.home, tmp_path_factory.mktemp("before") / "home")))
    moved = {**signed_in("alias-2", "alias-u1", "alias-a2", 5), "type": "alias", "previousId": "guest-7"}
    again = world.load(
        "segment",
        moved,
        segment("again-1", "Book Viewed", 0, user="again-u1", anonymous="again-a1", book_id="b1"),
        segment("again-1", "Book Finished", 0, user="again-u1", anonymous="again-a1", book_id="b1"),
        hour="2026/11/22/11",
    )
    world.load("segment", signed_in("late-3", "late-u1", "late-a1", 1), hour="2026/11/24/10")
    world.snapshot("book", "2026-11-22", {**BOOK, "title": "Sleep well"})
    world.load(
        "segment",
        segment("read-3", "Book Viewed", 25, user="read-u1", anonymous="read-a1", book_id="b1"),
        segment("read-1", "Book Started", 5, user="read-u1", anonymous="read-a1", book_id="b1"),
        hour="2026/11/22/09",
    )
    finished = matomo("Book", "Finished", 30, user="read-u1", _id="read-a1", e_n="b1")
    world.load("matomo", finished, hour="2026/11/23/10")
    return Steps(before, world.build(), [first, again])


def test_a_sign_in_that_arrives_late_moves_what_was_done_before_it_to_the_reader(steps: Steps) -> None:
    finished = "select user_id, is_finished from marts.fct_interactions where user_id like 'late-%' order by 1"
    assert steps.before.rows(finished) == [("late-u2", False)]
    assert steps.after.rows(finished) == [("late-u1", True), ("late-u2", False)]
    users = "select user_id, events from marts.dim_users where user_id like 'late-%' order by 1"
    assert steps.after.rows(users) == [("late-u1", 2), ("late-u2", 1)]
    sessions = "select visitor_id, events from marts.fct_sessions where visitor_id like 'late-%' order by 1"
    assert steps.after.rows(sessions) == [("late-u1", 2), ("late-u2", 1)]


def test_an_alias_joins_what_was_loaded_under_the_old_id(steps: Steps) -> None:
    users = "select user_id, events from marts.dim_users where user_id in ('guest-7', 'alias-u1')"
    assert steps.before.rows(users) == [("guest-7", 1)]
    assert steps.after.rows(users) == [("alias-u1", 2)]
    books = "select user_id, book_id from marts.fct_interactions where user_id in ('guest-7', 'alias-u1')"
    assert steps.after.rows(books) == [("alias-u1", "b1")]


def test_two_people_on_one_device_stay_two(steps: Steps) -> None:
    people = "select event_id, user_id from marts.fct_events where event_id like 'two-%' order by 1"
    assert steps.before.rows(people) == [("two-1", "two-u1"), ("two-2", None), ("two-3", "two-u2")]
    assert steps.after.rows(people) == steps.before.rows(people)


def test_an_impossible_rate_is_flagged_and_kept(steps: Steps) -> None:
    rates = """
        select user_id, events, most_events_a_minute, is_too_fast from marts.fct_sessions
        where user_id in ('fast', 'slow') order by 1"""
    assert steps.before.rows(rates) == [("fast", 200, 200, True), ("slow", 5, 1, False)]


def test_an_id_that_comes_again_with_another_content_is_reported(steps: Steps) -> None:
    first, again = steps.keys
    assert steps.after.rows("select event_name from marts.fct_events where event_id = 'again-1'") == [("Book Viewed",)]
    columns = "object_key, record_index, first_object_key, first_record_index"
    assert steps.after.rows(f"select {columns} from marts.rpt_conflicting_duplicates") == [(again, 2, first, 3)]


def test_late_and_repeated_records_give_the_same_tables_as_a_full_refresh(steps: Steps, tmp_path: Path) -> None:
    sessions = "select count(*) from marts.fct_sessions where visitor_id like 'read-%'"
    assert (steps.before.rows(sessions), steps.after.rows(sessions)) == ([(2,)], [(1,)])
    assert steps.after.rows("select arrived_on, landed_at from marts.fct_events where event_id = 'read-1'") == [
        (dt.date(2026, 11, 22), dt.datetime(2026, 11, 22, 9))
    ]
    assert steps.after.rows("select title from marts.dim_books where book_id = 'b1'") == [("Sleep well",)]
    whole = replace(steps.after, home=Path(shutil.copytree(steps.after.home, tmp_path / "home")))
    assert whole.build("--full-refresh").tables() == steps.after.tables()


def test_a_build_takes_up_where_the_model_stands_and_reads_no_old_load_again(world: Any) -> None:
    world.load("segment", segment("s1", "Book Viewed", 0, book_id="b1"))
    world.build("--select", "+fct_events")
    with world.connect() as con:  # what is old is not looked at: a full refresh would bring it back
        con.execute("delete from staging.stg_segment__events")
    world.load("segment", segment("s2", "Book Viewed", 1, book_id="b1"))
    world.build("--select", "+fct_events")
    assert world.rows("select event_id from marts.fct_events order by 1") == [("s1",), ("s2",)]
