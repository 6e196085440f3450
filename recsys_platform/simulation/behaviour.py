"""Simulate readers' behavior on one day: sessions, opened books, reading progress, ratings and payments.

Each reader has a queue of books, drawn every `SEASON` days by taste and popularity without replacement (the order of
w / Exp(1), largest first, is a draw of Plackett and Luce), and takes the next ones from it in each session.

Belongs here: events as numbers (dtype EVENT) and when they happen. Does not: how trackers record them (trackers.py) or when they
arrive (delivery.py).
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from recsys_platform.simulation.vocabulary import CATEGORIES, LANGUAGES, PLATFORMS, WEEKDAYS
from recsys_platform.simulation.world import DAY_MS, FOREIGN, Floats, Ints, Table, World, log_odds, moments

Bools = np.ndarray[Any, np.dtype[np.bool_]]

SEASON = 15  # days that a queue of books covers
QUEUE = 96  # books in a queue
BLOCK_CELLS = 8_000_000  # readers x books scored at once
CHOOSINESS = 0.9  # the effect of taste on which books are opened, in log-odds
BOOKS_A_SESSION = 1.9
NEVER_OPENED = -1e9  # log-odds
SECOND = 1_000


class Action(IntEnum):
    """The kinds of events; trackers.py has their names in each tracker's format."""

    VIEWED, STARTED, CHAPTER, FINISHED, SAVED, REMOVED, RATED, SEARCHED = range(8)
    SUBSCRIBED, RENEWED, CANCELLED, APP_RATED, IDENTIFIED, PAGE = range(8, 14)


ANONYMOUS_ACTIONS = (Action.VIEWED, Action.SEARCHED, Action.PAGE)  # possible before signing in

EVENT = np.dtype(
    [
        ("seq", "i8"),  # unique in the world
        ("at", "i8"),  # milliseconds since 1970
        ("session_at", "i8"),
        ("reader", "i4"),
        ("book", "i4"),  # -1 for none
        ("detail", "i4"),  # the chapter or the search
        ("rating", "i1"),
        ("action", "i1"),
        ("platform", "i1"),
        ("signed_in", "?"),
    ]
)

STEP = np.dtype([("slot", "i8"), ("at", "i8"), ("action", "i1"), ("detail", "i4"), ("rating", "i1")])


@dataclass(frozen=True)
class Sessions:
    """One day's sessions, ordered by reader; all arrays have shape (sessions,)."""

    reader: Ints
    at: Ints
    platform: Ints
    signed_in: Bools  # false for a signed-up reader who is logged out
    books: Ints


@dataclass
class Library:
    """The book queues of all readers for one season, and which books they have opened so far."""

    queue: Ints  # shape (readers, length), indices of books
    left: Bools  # same shape: not opened yet
    opened: list[Ints]  # arrays of shape (n, 2): reader, book


def events_of_day(world: World, library: Library, *, day: int) -> Table:
    """All events that follow from the sessions and subscriptions of a day (dtype EVENT), ordered by time.

    A few happen on later days: reading on, removing a book. Updates `library`, so call it for each day in order.
    """
    rng = world.spec.rng("day", day)
    sessions = draw_sessions(world, rng, day=day)
    parts = [
        _reading_events(world, library, sessions, rng, day=day),
        _session_events(world, sessions, rng),
        _subscription_events(world, rng, day=day),
    ]
    events = np.concatenate([*parts, _sign_up_events(world, day=day)])
    events["signed_in"] &= events["at"] >= world.readers["created_ms"][events["reader"]]
    events = events[events["signed_in"] | np.isin(events["action"], ANONYMOUS_ACTIONS)]
    events = events[np.argsort(events["at"], kind="stable")]
    events["seq"] = (day << 32) + np.arange(len(events))
    return events


def new_season(world: World, opened: list[Ints], *, day: int) -> Library:
    """The queues for the season that begins on `day`, without books that a reader has already opened."""
    length = min(QUEUE, len(world.books))
    queue = np.full((len(world.readers), length), -1, dtype=np.int32)
    rng = world.spec.rng("season", day)
    coming = np.flatnonzero((world.readers["first_day"] < day + SEASON) & (world.readers["last_day"] >= day))
    pairs = np.concatenate([*opened, np.zeros((0, 2), dtype=np.int32)])
    seen = pairs[np.argsort(pairs[:, 0], kind="stable")]
    block = max(1, BLOCK_CELLS // max(1, len(world.books)))
    for first in range(0, len(coming), block):
        rows = coming[first : first + block]
        queue[rows] = _queue_block(world, rng, rows=rows, seen=seen, day=day, length=length)
    return Library(queue=queue, left=queue >= 0, opened=opened)


def _queue_block(world: World, rng: np.random.Generator, *, rows: Ints, seen: Ints, day: int, length: int) -> Ints:
    """The queues of some readers (ascending), most wanted book first; -1 if no book is left."""
    wanted = appeal(world, rows=rows, day=day)
    wait: Floats = np.maximum(rng.standard_exponential(wanted.shape, np.float32), np.float32(1e-30))
    wanted -= np.log(wait)
    mine = seen[slice(*np.searchsorted(seen[:, 0], [rows[0], rows[-1] + 1]))]
    mine = mine[np.isin(mine[:, 0], rows)]
    wanted[np.searchsorted(rows, mine[:, 0]), mine[:, 1]] = NEVER_OPENED
    best = np.argpartition(wanted, -length, axis=1)[:, -length:]
    score = np.take_along_axis(wanted, best, axis=1)
    order = np.argsort(-score, axis=1)
    best = np.take_along_axis(best, order, axis=1)
    return np.where(np.take_along_axis(score, order, axis=1) < NEVER_OPENED / 2, -1, best)


def appeal(world: World, *, rows: Ints, day: int) -> Floats:
    """Log-odds of opening a book: taste, popularity, and a temporary boost of new books; shape (readers, books)."""
    books = world.books
    new = 0.6 * (books["published_day"] > day - SEASON)
    taste = CHOOSINESS * world.readers["factors"][rows]
    losses = world.readers["factors"][rows, -len(LANGUAGES) :]
    taste[:, -len(LANGUAGES) :][losses <= -FOREIGN] = NEVER_OPENED  # books in a language that the reader does not read
    odds = taste @ np.ascontiguousarray(books["factors"]).T
    odds += (books["popularity"] + new).astype(np.float32)
    return np.asarray(odds, dtype=np.float32)


def draw_sessions(world: World, rng: np.random.Generator, *, day: int) -> Sessions:
    """The sessions of a day."""
    readers = world.readers
    today = (readers["first_day"] <= day) & (day <= readers["last_day"])
    rate = readers["rate"] * today * WEEKDAYS[(world.spec.start.weekday() + day) % 7]
    count = rng.poisson(rate)
    joins = readers["created_day"] == day
    count = np.where(joins, np.maximum(count, 1), count)
    reader = np.repeat(np.arange(len(readers)), count)
    at = world.spec.start_ms + day * DAY_MS + moments(rng, readers["country"][reader])
    first = np.r_[True, reader[1:] != reader[:-1]][: len(reader)]
    early = readers["created_ms"][reader] - rng.integers(30, 300, len(reader)) * SECOND
    at = np.where(first & joins[reader], early, at)  # the visit begins shortly before the sign-up
    own = rng.random(len(reader)) < 0.85
    platform = np.where(own, readers["device"][reader], readers["other_device"][reader])
    signed_in = (rng.random(len(reader)) > 0.02) | joins[reader]
    return Sessions(
        reader=reader,
        at=at,
        platform=platform,
        signed_in=signed_in,
        books=1 + rng.poisson(BOOKS_A_SESSION - 1, len(reader)),
    )


def _reading_events(world: World, library: Library, sessions: Sessions, rng: np.random.Generator, *, day: int) -> Table:
    """Views, starts, chapters, finishes, saves, removals and ratings."""
    session, book = _open_books(world, library, sessions, day=day)
    reader = sessions.reader[session]
    odds = log_odds(world.readers[reader], world.books[book]) if len(book) else np.zeros(0, dtype=np.float32)
    liking = 1 / (1 + np.exp(-odds))
    reads = draw_reads(rng, liking, chapters=world.books["chapters"][book])
    begins = sessions.at[session] + _before_in_session(session, reads.lasts)
    steps = reading_steps(rng, reads, begins=begins, liking=liking)
    events = np.zeros(len(steps), dtype=EVENT)
    _copy_session_fields(events, sessions, session[steps["slot"]])
    events["book"] = book[steps["slot"]]
    for name in ("at", "action", "detail", "rating"):
        events[name] = steps[name]
    return events


def _open_books(world: World, library: Library, sessions: Sessions, *, day: int) -> tuple[Ints, Ints]:
    """The session and the book of every book opened today, in the order of sessions."""
    active, which = np.unique(sessions.reader, return_inverse=True)
    need = np.bincount(which, weights=sessions.books, minlength=len(active)).astype(np.int64)
    queue = library.queue[active]
    there = (world.books["published_day"] <= day) & (day < world.books["gone_day"])
    open_now = library.left[active] & there[queue]
    taken = open_now & (np.cumsum(open_now, axis=1) <= need[:, None])
    library.left[active] &= ~taken
    row, _ = np.nonzero(taken)
    book = queue[taken]
    library.opened.append(np.column_stack([active[row], book]).astype(np.int32))
    session = np.repeat(np.arange(len(which)), sessions.books)
    place = _place_in_run(which[session])
    return session[place < taken.sum(axis=1)[which[session]]], book


def _place_in_run(runs: Ints) -> Ints:
    """0, 1, 2, … within each run of equal values."""
    starts = np.r_[True, runs[1:] != runs[:-1]][: len(runs)]
    positions = np.arange(len(runs))
    return np.asarray(positions - np.maximum.accumulate(np.where(starts, positions, 0)))


def _before_in_session(session: Ints, lasts: Ints) -> Ints:
    """The time spent on earlier books in the same session."""
    before = np.cumsum(lasts) - lasts
    return np.asarray(before - before[np.arange(len(session)) - _place_in_run(session)])


@dataclass(frozen=True)
class Reads:
    """The outcome of each opened book; all arrays have shape (opened,)."""

    started: Bools
    finished: Bools
    chapters: Ints  # completed
    pace: Ints  # milliseconds a chapter
    pause: Ints  # the chapter after which the rest is left for another day
    lasts: Ints  # milliseconds in this session


def chance_to_start(liking: Floats) -> Floats:
    """The probability that an opened book is started, given how likely it is to be liked."""
    return 0.12 + 0.7 * liking


def chance_to_finish_started(liking: Floats) -> Floats:
    """The probability that a started book is finished, given how likely it is to be liked."""
    return 0.12 + 0.8 * liking


def chance_to_finish(liking: Floats) -> Floats:
    """The probability that an opened book is finished, given how likely it is to be liked."""
    return chance_to_start(liking) * chance_to_finish_started(liking)


def draw_reads(rng: np.random.Generator, liking: Floats, *, chapters: Ints) -> Reads:
    """What becomes of opened books, given how likely each is to be liked."""
    n = len(liking)
    started = rng.random(n) < chance_to_start(liking)
    finished = started & (rng.random(n) < chance_to_finish_started(liking))
    given_up = (rng.random(n) * 0.8 * chapters).astype(np.int64)
    completed = np.where(finished, chapters, given_up) * started
    pace = rng.integers(70, 200, n) * SECOND
    pause = np.where(rng.random(n) < 0.1, completed // 2 + 1, completed)
    return Reads(started, finished, completed, pace, pause, lasts=60 * SECOND + np.minimum(pause, completed) * pace)


def reading_steps(rng: np.random.Generator, reads: Reads, *, begins: Ints, liking: Floats) -> Table:
    """Every reading event: the opened book's index, time, action, chapter and rating (dtype STEP)."""
    n = len(begins)
    every = np.ones(n, dtype=bool)
    later = rng.integers(16, 30, n) * 3_600 * SECOND
    start = begins + rng.integers(8, 50, n) * SECOND
    end = start + reads.chapters * reads.pace + (reads.pause < reads.chapters) * later + 3 * SECOND
    saved = rng.random(n) < 0.04 + 0.3 * liking
    removed = saved & (rng.random(n) < 0.25 * (1 - liking))
    given_up = reads.started & ~reads.finished
    rated = (reads.finished & (rng.random(n) < 0.25)) | (given_up & (rng.random(n) < 0.03))
    steps = [
        _steps_for(every, begins, Action.VIEWED),
        _steps_for(rng.random(n) < 0.12, begins + 5 * SECOND, Action.VIEWED),
        _steps_for(reads.started, start, Action.STARTED),
        _chapter_steps(reads, start=start, later=later),
        _steps_for(reads.finished, end, Action.FINISHED),
        _steps_for(saved, begins + 6 * SECOND, Action.SAVED),
        _steps_for(removed, begins + later * rng.integers(1, 6, n), Action.REMOVED),
        _steps_for(rated, end + 9 * SECOND, Action.RATED, rating=_draw_ratings(rng, liking)),
    ]
    return np.concatenate(steps)


def _steps_for(chosen: Bools, at: Ints, action: Action, *, rating: Ints | None = None) -> Table:
    """One step for each chosen opened book."""
    steps = np.zeros(int(chosen.sum()), dtype=STEP)
    steps["slot"], steps["at"], steps["action"] = np.flatnonzero(chosen), at[chosen], action
    steps["rating"] = 0 if rating is None else rating[chosen]
    return steps


def _chapter_steps(reads: Reads, *, start: Ints, later: Ints) -> Table:
    """One step for each chapter read, those after a pause on another day."""
    steps = np.zeros(int(reads.chapters.sum()), dtype=STEP)
    steps["slot"] = slot = np.repeat(np.arange(len(start)), reads.chapters)
    steps["detail"] = chapter = _place_in_run(slot) + 1
    steps["at"] = start[slot] + chapter * reads.pace[slot] + (chapter > reads.pause[slot]) * later[slot]
    steps["action"] = Action.CHAPTER
    return steps


def _draw_ratings(rng: np.random.Generator, liking: Floats) -> Ints:
    return np.asarray(np.clip(np.round(1.0 + 3.9 * liking + rng.normal(0, 0.7, len(liking))), 1, 5), dtype=np.int64)


def _session_events(world: World, sessions: Sessions, rng: np.random.Generator) -> Table:
    """Searches, pages, repeated sign-ins and ratings of the app."""
    n = len(sessions.reader)
    mobile = sessions.platform != PLATFORMS.index("web")
    picked = [
        (Action.SEARCHED, rng.random(n) < 0.25, -4),
        (Action.PAGE, rng.random(n) < 0.2, -6),
        (Action.IDENTIFIED, (rng.random(n) < 0.03) & sessions.signed_in, -5),
        (Action.APP_RATED, (rng.random(n) < 0.006) & mobile & sessions.signed_in, 40),
    ]
    session = np.concatenate([np.flatnonzero(mask) for _, mask, _ in picked])
    events = np.zeros(len(session), dtype=EVENT)
    _copy_session_fields(events, sessions, session)
    sizes = [int(mask.sum()) for _, mask, _ in picked]
    events["action"] = np.repeat([action for action, _, _ in picked], sizes)
    events["at"] = sessions.at[session] + np.repeat([seconds for _, _, seconds in picked], sizes) * SECOND
    events["book"] = -1
    events["detail"] = _draw_queries(world, events["reader"], rng)
    events["rating"] = np.where(
        events["action"] == Action.APP_RATED,
        rng.choice([1, 2, 3, 4, 5], len(events), p=[0.08, 0.06, 0.1, 0.26, 0.5]),
        0,
    )
    return events


def _draw_queries(world: World, reader: Ints, rng: np.random.Generator) -> Ints:
    """The search queries: the index of a category, or a larger number for words of a title."""
    taste = world.readers["factors"][reader, : len(CATEGORIES)] + rng.gumbel(0, 1, (len(reader), len(CATEGORIES)))
    liked = taste.argmax(axis=1) if len(reader) else np.zeros(0, dtype=np.int64)
    return np.where(rng.random(len(reader)) < 0.6, liked, len(CATEGORIES) + rng.integers(0, 1_000, len(reader)))


def _subscription_events(world: World, rng: np.random.Generator, *, day: int) -> Table:
    """The day's starts, renewals and cancellations, at any hour of reading."""
    readers = world.readers
    age = day - readers["premium_day"]
    term = np.where(readers["yearly"], 365, 30)
    paying = (age >= 0) & (day < readers["cancel_day"])
    groups = [
        (Action.SUBSCRIBED, np.flatnonzero(age == 0)),
        (Action.RENEWED, np.flatnonzero(paying & (age > 0) & (age % term == 0))),
        (Action.CANCELLED, np.flatnonzero(readers["cancel_day"] == day)),
    ]
    reader = np.concatenate([who for _, who in groups])
    at = np.maximum(
        world.spec.start_ms + day * DAY_MS + moments(rng, readers["country"][reader]),
        readers["created_ms"][reader] + 90 * SECOND,
    )
    return _events_outside_sessions(
        world, reader, at=at, action=np.repeat([action for action, _ in groups], [len(who) for _, who in groups])
    )


def _sign_up_events(world: World, *, day: int) -> Table:
    """The sign-up events: an anonymous visitor becomes a known reader."""
    reader = np.flatnonzero(world.readers["created_day"] == day)
    return _events_outside_sessions(
        world, reader, at=world.readers["created_ms"][reader], action=np.full(len(reader), int(Action.IDENTIFIED))
    )


def _events_outside_sessions(world: World, reader: Ints, *, at: Ints, action: Ints) -> Table:
    """Events outside the day's sessions."""
    events = np.zeros(len(reader), dtype=EVENT)
    columns = (
        ("reader", reader),
        ("at", at),
        ("session_at", at),
        ("action", action),
        ("book", -1),
        ("signed_in", True),
    )
    for name, column in (*columns, ("platform", world.readers["device"][reader])):
        events[name] = column
    return events


def _copy_session_fields(events: Table, sessions: Sessions, session: Ints) -> None:
    """Copy the fields that an event shares with its session."""
    events["reader"] = sessions.reader[session]
    events["session_at"] = sessions.at[session]
    events["platform"] = sessions.platform[session]
    events["signed_in"] = sessions.signed_in[session]
