"""A live week: simulated readers use the API over HTTP, and what they did is in the marts, click by click."""

import datetime as dt
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from recsys_platform.closed_loop.api import asks_in_process
from recsys_platform.common.clock import SIMULATED_TIME
from recsys_platform.common.errors import InputError
from recsys_platform.config.factories import hub_of
from recsys_platform.hub.local import FolderHub
from recsys_platform.ingestion.arrivals import all_arrivals
from recsys_platform.ingestion.loading import load_events
from recsys_platform.serving.answer_counts import HOUR
from recsys_platform.serving.exposures import to_hub
from recsys_platform.serving.gateway.api import create_app
from recsys_platform.serving.gateway.simulated_clock import (
    DailySpool,
    SimulatedClock,
    SimulatedCounts,
    simulated_now,
)
from recsys_platform.simulation.reader_app import ReaderApp, asks_over_http
from recsys_platform.simulation.truth import load_spec
from recsys_platform.simulation.visit_truth import load_visits
from recsys_platform.simulation.visiting import simulate_visits
from recsys_platform.simulation.world import make_world
from recsys_platform.transform.dbt import PARSED, cached_manifest, target_folder
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.commands import said_by
from tests.support.dbt_world import World
from tests.support.servers import free_port, running
from tests.support.serving_world import Running, ServingWorld, landed_lines
from tests.support.visited_world import HABITS, judged_week, make_visited_world


def shown_at(api: Running) -> list[str]:
    api.gateway.spool.stop()
    return [json.loads(line)["timestamp"] for line in landed_lines(api.hub)]


def test_a_request_sets_no_time_unless_the_api_was_started_for_a_simulation(
    serving_world: ServingWorld, run_gateway: Any
) -> None:
    api = run_gateway(serving_world)
    answer = api.client.get("/v1/users/u01/recommendations", headers={SIMULATED_TIME: "2020-01-01T00:00:00Z"})
    assert SIMULATED_TIME not in answer.headers
    [at] = shown_at(api)
    assert at > "2026"
    with pytest.raises(InputError, match="has its own clock: start it with `recsys serve --simulated-clock`"):
        asks_over_http(api.url, api.client.headers["authorization"].removeprefix("Bearer "))(
            "GET", "/healthz", {}, None
        )
    with pytest.raises(InputError, match="No API answers at"):
        asks_over_http(f"http://127.0.0.1:{free_port()}", "")("GET", "/healthz", {}, None)


def test_in_a_simulation_each_request_has_its_own_time_and_lands_on_its_day(
    serving_world: ServingWorld, run_gateway: Any, tmp_path: Path
) -> None:
    hub, counted = FolderHub(tmp_path / "days"), FolderHub(tmp_path / "counted")
    spools = {
        name: DailySpool(tmp_path / f"spool {name}", to_hub(each), now=simulated_now)
        for name, each in (("events", hub), ("counts", counted))
    }
    counts = SimulatedCounts(spools["counts"], seconds=HOUR)
    api = run_gateway(serving_world, spool=spools["events"], counts=counts, now=simulated_now)
    key = api.client.headers["authorization"].removeprefix("Bearer ")
    app = ReaderApp(asks_in_process(SimulatedClock(create_app(api.gateway)), key))
    times = [int(dt.datetime(2026, 3, day, 12, tzinfo=dt.UTC).timestamp() * 1_000) for day in (1, 2)]
    for at in times:
        app.recommendations("u01", at=at, k=5, surface="for_you")
    api.gateway.spool.flush()
    assert [json.loads(line)["timestamp"][:16] for line in landed_lines(hub)] == [
        "2026-03-01T12:00",
        "2026-03-02T12:00",
    ]
    assert [item.key[33:46] for item in hub.objects("engagement_events/")] == ["2026/03/01/12", "2026/03/02/12"]
    counts.flush()
    counts.spool.flush()
    events = [json.loads(line) for line in landed_lines(counted)]
    assert [each["timestamp"][:16] for each in events] == ["2026-03-01T12:00", "2026-03-02T12:00"]
    assert [each["properties"]["items"][0]["answers"] for each in events] == [1, 1]
    assert [item.key[33:46] for item in counted.objects("engagement_events/")] == ["2026/03/02/12"]
    with pytest.raises(InputError, match="422: The header x-simulated-time is not a time"):
        app._asked("GET", "/healthz", 0, headers={SIMULATED_TIME: "noon"})


def test_only_a_simulated_world_is_served_with_a_simulated_clock(tmp_path: Path) -> None:
    code, said = said_by("serve", "--simulated-clock", home=tmp_path)
    assert (code, "--simulated-clock is for a world of `recsys simulate`" in said) == (1, True)
    code, said = said_by("simulate-visits", home=tmp_path)
    assert (code, "There is no simulated world" in said) == (1, True)


@pytest.mark.slow  # a week of some thousand requests to a gateway in a process of its own, and a dbt build
def test_a_week_of_visits_joins_in_the_marts_and_its_propensities_tell_what_other_policies_are_worth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, _, key = make_visited_world(tmp_path / "home", readers=300, books=150, seed=3)
    port = free_port()
    url, recsys = f"http://127.0.0.1:{port}", Path(sys.executable).with_name("recsys")
    for name in [each for each in os.environ if each.startswith("RECSYS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RECSYS_HOME", str(settings.home))
    monkeypatch.setenv("RECSYS_API_LIMITS", settings.api_limits)
    with running([str(recsys), "serve", "--simulated-clock", "--port", str(port)], f"{url}/healthz"):
        week = simulate_visits(asks_over_http(url, key), truth_dir=settings.truth_root, days=7, habits=HABITS)
    shown = load_visits(settings.truth_root)

    (tmp_path / "marts").mkdir()
    marts = World(tmp_path / "marts", cached_manifest(target_folder(tmp_path) / PARSED, "local")).prepare()
    warehouse = DuckDBWarehouse(marts.home / "warehouse.duckdb")
    report = load_events(hub_of(settings), warehouse, all_arrivals(hub_of(settings), warehouse).new)
    assert report.rejected == 0
    marts.build("--select", "+fct_exposures", "+fct_recommendation_requests", "+rpt_unmatched_responses")

    visited = shown.to_pandas()
    clicked = visited[visited["is_clicked"]]
    exposed = marts.rows("select request_id, book_id, clicks from marts.fct_exposures")
    books = "b" + (visited["book"] + 1).astype(str).str.zfill(5)
    assert {(request, book) for request, book, _ in exposed} == set(zip(visited["request_id"], books, strict=True))
    assert len(exposed) == len(visited)
    clicks = {(request, book): count for request, book, count in exposed if count}
    assert set(clicks) == set(zip(clicked["request_id"], books[clicked.index], strict=True))
    assert set(clicks.values()) == {1}, "what an app posted twice counts once"
    assert marts.rows("select count(*) from marts.rpt_unmatched_responses") == [(0,)]
    requests = marts.rows("select request_id, surface, experiment, variant from marts.fct_recommendation_requests")
    assert sorted(each[0] for each in requests) == sorted(set(visited["request_id"]))
    assert {"for_you", "home.for_you", "home.popular"} <= {each[1] for each in requests}
    assert {each[2:] for each in requests} >= {("other_model", "control"), ("other_model", "treatment")}
    assert visited["user_id"].isna().any(), "guests too"
    assert visited.groupby("reader")["user_id"].agg(lambda ids: ids.isna().any() and ids.notna().any()).any(), (
        "who signs in"
    )
    days = [day for (day,) in marts.rows("select distinct shown_on from marts.fct_exposures order by 1")]
    assert days[:7] == [week.start + dt.timedelta(days=day) for day in range(7)]
    assert days[7:] in ([], [week.end + dt.timedelta(days=1)]), "a visit may last beyond midnight"

    with warehouse.connect() as con:
        log = con.sql("select * from marts.fct_exposures").to_arrow_table()
    spec, days_done = load_spec(settings.truth_root)
    found = judged_week(log, shown, make_world(spec, days=days_done), HABITS)
    first, everything = found[found["showings"] == "first"], found[found["showings"] == "all"]
    assert first["rows"].max() < everything["rows"].min(), "lists were shown again, from the cache or as 304"
    assert first["rows"].min() > 300
    # One week is one draw, in which an interval of 95 % may well miss, and with it the two others of its policy (benchmarks/visits.py
    # counts how many of 60 weeks do). What is biased or too sure of itself lies beyond 3.5 standard errors.
    errors = (first["high"] - first["low"]) / (2 * 1.96)
    assert ((first["value"] - first["truth"]).abs() <= 3.5 * errors).all(), first.to_string()
    assert (errors < 0.2 * first["truth"]).all(), first.to_string()  # and they tell something
