"""Random records of a few people on a few devices, of three trackers."""

import datetime as dt
import random
from collections.abc import Iterator
from typing import Any

START = dt.datetime(2026, 11, 10)
ABOUT_LISTS = ["Recommendations Viewed", "Recommendation Clicked", "Recommendation Dismissed"]
Record = dict[str, Any]


def readers_and_devices(chance: random.Random, events: int) -> Iterator[tuple[str, Record]]:
    """Random records of a few people on a few devices: anonymous, signing in and out, aliased, wrong, late, repeated."""
    for number in range(events):
        at = START + dt.timedelta(minutes=chance.choice([chance.randrange(120), chance.randrange(4 * 24 * 60)]))
        tracker = chance.choices(["segment", "pinpoint", "matomo"], [6, 1, 1])[0]
        user = chance.choice([None, None, "u1", "u2", "u3", "old"])
        device = chance.choice(["d1", "d2", "d3", "d4"])
        book = chance.choice(["b1", "b2", "b3"])
        yield (
            tracker,
            {"segment": segment, "pinpoint": pinpoint, "matomo": matomo}[tracker](
                chance, number, at, user, device, book
            ),
        )


def segment(chance: random.Random, number: int, at: dt.datetime, user: str | None, device: str, book: str) -> Record:
    name = chance.choice(
        ["Book Viewed", "Book Rated", "Book Saved", "Book Removed", "Book Finished", "Signed Out", *ABOUT_LISTS]
    )
    base = {"type": "track", "event": name, "messageId": f"m{number}", "userId": user, "anonymousId": device}
    record = {
        **base,
        "timestamp": at.isoformat() + "Z",
        "properties": {
            "book_id": book,
            "rating": chance.randint(1, 6),
            **answer(chance, name),
        },
    }
    if user and number % 40 == 7:
        return {
            **record,
            "type": "alias",
            "userId": chance.choice(["u1", "u2"]),
            "previousId": chance.choice(["old", "u3"]),
        }
    return {**record, **counts(number)} if number % 20 == 13 else record


def counts(number: int) -> Record:
    """What the API counts of its answers in a minute."""
    groups = [{"experiment": "trial", "variant": each, "source": "live", "answers": number} for each in ("a", "b")]
    machine = {"device": {"type": "bot"}}
    return {"event": "Answers Counted", "userId": None, "context": machine, "properties": {"items": groups}}


def answer(chance: random.Random, name: str) -> Record:
    """What an event says of one of a few lists, if it is about one: two books, one of them perhaps not reported."""
    if name not in ABOUT_LISTS:
        return {}
    likely, said = (
        chance.choice([0.1, 0.5, 1]),
        {"request_id": f"r{chance.randrange(8)}", "position": chance.randint(1, 2)},
    )
    if name != "Recommendations Viewed":
        return {"book_id": chance.choice(["b1", "b2"]), **said}
    books = chance.choices(["b1", "b2", None], k=chance.choice([0, 2, 2]))
    items = [{"book_id": book, "propensity": likely} for book in books]
    where = dict.fromkeys(("surface", "model", "model_version", "experiment", "variant"), "any")
    return {"book_id": None, "items": items, **said, **where}


def pinpoint(chance: random.Random, number: int, at: dt.datetime, user: str | None, device: str, book: str) -> Record:
    epoch = int(at.replace(tzinfo=dt.UTC).timestamp() * 1000)
    endpoint = {"User": {"UserId": user}} if user else {}
    attributes = {"book_id": book, "number": str(number)}
    return {
        "event_type": chance.choice(["book_viewed", "book_finished"]),
        "event_timestamp": epoch,
        "client": {"client_id": device},
        "endpoint": endpoint,
        "attributes": attributes,
    }


def matomo(chance: random.Random, number: int, at: dt.datetime, user: str | None, device: str, book: str) -> Record:
    epoch = str(int(at.replace(tzinfo=dt.UTC).timestamp()))
    base = {
        "idsite": "1",
        "_id": device,
        "cdt": epoch,
        "rand": str(number),
        "e_c": "Book",
        "e_a": "Viewed",
        "e_n": book,
    }
    return {**base, "uid": user} if user else base


def with_repetitions(chance: random.Random, records: list[tuple[str, Record]]) -> list[tuple[str, Record]]:
    """Some once more, and some of those with another content under the same id."""
    again = [(tracker, dict(record)) for tracker, record in records if chance.random() < 0.15]
    for tracker, record in again:
        if tracker == "segment" and chance.random() < 0.5:
            other = {"book_id": "b9", "rating": 3, **answer(chance, record["event"])}
            record["userId"], record["properties"] = chance.choice(["u1", "u2"]), other
            record["timestamp"] = (START + dt.timedelta(minutes=chance.randrange(4 * 24 * 60))).isoformat()
    return records + again
