"""What a gateway makes of posted events is what the marts make of them: names, ids, aliases, sign-ins, and which are loaded."""

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from recsys_platform.common.pseudonyms import Pseudonyms
from recsys_platform.hub.local import FolderHub
from recsys_platform.ingestion.arrivals import all_arrivals
from recsys_platform.ingestion.loading import load_events
from recsys_platform.recommender.data.interactions import build_dataset
from recsys_platform.recommender.data.training_data import loaded_to, marts_of
from recsys_platform.recommender.lists.list_rules import parse_list_rules
from recsys_platform.serving.publishing import loaded_events
from recsys_platform.serving.recent_events import events_to_merge, with_events
from recsys_platform.serving.signals import signals_of
from recsys_platform.serving.snapshot import Profile, Publication, open_snapshot, write_snapshot
from recsys_platform.transform.dbt import PARSED, ROOT, cached_manifest, target_folder
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.dbt_world import World
from tests.support.serving_world import Running, ServingWorld

SALT, ANN = "a salt of at least 16 characters", "ann@example.com"  # pragma: allowlist secret
BOOKS = [f"b{number:02d}" for number in range(40)]
FINISHED = "Book Finished"


def track(name: str, at: int, *, user: str | None = None, device: str | None = None, **more: Any) -> dict[str, Any]:
    """An event of Segment's format about book number `at`."""
    when = (dt.datetime(2026, 11, 22, 9) + dt.timedelta(minutes=more.pop("minute", at))).isoformat() + "Z"
    properties = {"book_id": BOOKS[at], "request_id": "r", "position": 1, **more.pop("properties", {})}
    return {
        **{"type": "track", "event": name, "messageId": f"m-{at}-{more.pop('key', name)}", "timestamp": when},
        **{"userId": user, "anonymousId": device, "properties": properties, **more},
    }


EVENTS = [
    track(FINISHED, 0, user="zoe"),
    track("book_finished", 1, user="zoe"),  # another tracker's name
    track(FINISHED, 2, user="zoe", type=None),
    track(FINISHED, 3, user="zoe", type="Track"),
    track(FINISHED, 4, user="zoe", type="page"),
    track("Book Saved", 5, user="zoe"),
    track("Book Removed", 5, user="zoe", minute=30),
    track("Recommendation Dismissed", 6, user="zoe"),
    track("Book Rated", 7, user="zoe", properties={"rating": 2.5}),
    track("Book Rated", 8, user="zoe", properties={"rating": "1"}),
    track("Book Rated", 9, user="zoe", properties={"rating": 4.5}),
    track("Book Rated", 10, user="zoe", properties={"rating": 9}),
    track("Book Viewed", 11, user="zoe"),
    track(FINISHED, 12, user=ANN),
    track("Book Saved", 13, user=ANN),
    track(FINISHED, 14, device="phone"),
    track("Logged In", 15, user="kim", device="phone"),
    track(FINISHED, 16, device="phone"),
    track(FINISHED, 17, user="old-kim"),
    track("", 18, user="kim", type="alias", previousId="old-kim", event=None),
    track(FINISHED, 19, device="tablet"),
    track("", 20, user="lee", type="alias", previousId="tablet", event=None),
]
READERS = ["zoe", ANN, "kim", "lee"]


def sets_of(profile: Profile) -> tuple[set[str], ...]:
    return set(profile.history), set(profile.finished), set(profile.out)


def catalog() -> pa.Table:
    return pa.table({"book_id": BOOKS, "language": ["en"] * len(BOOKS), "is_available": [True] * len(BOOKS)})


@pytest.mark.slow  # builds the marts of interactions with dbt
def test_a_snapshot_of_the_marts_says_of_every_reader_what_the_gateway_said(
    serving_world: ServingWorld, run_gateway: Any, tmp_path: Path
) -> None:
    api: Running = run_gateway(serving_world, pseudonyms=Pseudonyms(SALT))
    assert api.post(*EVENTS).json()["accepted"] == len(EVENTS)
    told = {
        reader: api.gateway.recommendations.profile(api.gateway.recommendations.reader_of(reader)) for reader in READERS
    }
    api.gateway.spool.stop()

    (tmp_path / "world").mkdir()
    world = World(tmp_path / "world", cached_manifest(target_folder(tmp_path) / PARSED, "local")).prepare()
    warehouse = DuckDBWarehouse(world.home / "warehouse.duckdb")
    warehouse.ensure_salt(SALT)
    hub: FolderHub = api.hub
    assert load_events(hub, warehouse, all_arrivals(hub, warehouse).new).rejected == 0
    world.snapshot("book", "2026-11-22", *({"book_id": book} for book in BOOKS))
    world.build("--select", "+fct_interactions", "+dim_users", "+dim_books", "+fct_experiment_assignments")

    marts = marts_of(warehouse) | {"dim_books": catalog()}
    built_to = loaded_to(marts)
    assert built_to is not None
    signals, rules = signals_of(ROOT), parse_list_rules({})
    loaded = loaded_events(warehouse, built_to, signals)
    assert loaded.aliases == {"old-kim": "kim", "tablet": "lee"}
    data = build_dataset(marts["fct_interactions"], marts["dim_users"], marts["dim_books"])
    given = {"publication": Publication("p", {}), "marts": marts, "data": data, "rules": rules, "lists": {}}
    snapshot = open_snapshot(write_snapshot(tmp_path / "snapshots", **given, signals=signals, loaded=loaded))
    pseudonyms = Pseudonyms(SALT)
    for reader in READERS:
        own = pseudonyms.of(reader)
        profile, (_, events) = snapshot.profile(own), api.gateway.recent.of(own)
        assert profile is not None
        assert sets_of(profile) == sets_of(told[reader]), reader
        assert snapshot.known_ids([each.message_id for each in events]) == {each.message_id for each in events}
        known = snapshot.known_ids([each.message_id for each in events])
        assert with_events(profile, events_to_merge(events, known, snapshot.events_since), signals) == profile
    assert snapshot.profile(ANN) is None
    assert snapshot.alias_of("old-kim") == "kim"
    assert sets_of(told["kim"])[1] == {BOOKS[14], BOOKS[16], BOOKS[17]}
