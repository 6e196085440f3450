"""The simulated readers and books, and the ground truth of their tastes.

Readers and books come in blocks, one for the start and one for each later day. Each block has its own random generator, so
continuing a simulation does not change its earlier days.

Belongs here: readers, books, tastes, affinity. Does not: what happens on a day (behaviour.py), files (truth.py).
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys_platform.simulation.vocabulary import (
    CATEGORIES,
    COUNTRIES,
    HOURS,
    LANGUAGE_SHARES,
    LANGUAGES,
    PLATFORMS,
)

Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]
Ints = np.ndarray[Any, np.dtype[np.integer[Any]]]
Table = np.ndarray[Any, np.dtype[np.void]]

STYLES = 8  # latent dimensions of taste that are in no attribute
FACTORS = len(CATEGORIES) + STYLES + len(LANGUAGES)
CATEGORY_TASTE = 11.0  # how strongly liked and disliked categories differ, in log-odds
STYLE_TASTE = 1.1  # standard deviation of the latent part, in log-odds
FOREIGN = 10.0  # penalty of a book in a language that the reader does not read, in log-odds
SECOND = 4.0  # the same for English as a second language
BASE = -1.6  # log-odds of liking an average book in one's language
FAME = 0.7  # standard deviation of how well known books are, in log-odds of being opened
RESIDENT_READERS, RESIDENT_BOOKS = 0.7, 0.8  # the shares that are there before the first day
NEVER = 1 << 20  # a day after any simulation
DAY_MS = 86_400_000

READER = np.dtype(
    [
        ("created_ms", "i8"),  # sign-up, milliseconds since 1970
        ("created_day", "i4"),  # days since the world's start, negative before it
        ("first_day", "i4"),  # the first visit, as nobody known yet
        ("last_day", "i4"),
        ("premium_day", "i4"),
        ("cancel_day", "i4"),
        ("rate", "f4"),  # sessions a day
        ("country", "i2"),
        ("language", "i2"),
        ("device", "i1"),  # the usual one, an index of PLATFORMS
        ("other_device", "i1"),
        ("yearly", "?"),
        ("interests", "i4"),  # bits over CATEGORIES
        ("factors", "f4", (FACTORS,)),
        ("bias", "f4"),
    ]
)
BOOK = np.dtype(
    [
        ("published_day", "i4"),
        ("gone_day", "i4"),  # from when on it is unavailable
        ("language", "i2"),
        ("categories", "i4"),  # bits over CATEGORIES
        ("chapters", "i2"),
        ("author", "i4"),
        ("title", "i4"),  # a number that words are made from
        ("premium", "?"),
        ("popularity", "f4"),  # how well known it is, in log-odds of being opened
        ("factors", "f4", (FACTORS,)),
        ("bias", "f4"),  # quality
    ]
)


@dataclass(frozen=True)
class WorldSpec:
    """The parameters of a world; two worlds of equal spec are equal.

    `readers` and `books` are their numbers after `horizon` days from `start`; on later days they keep arriving at the same rate.
    """

    readers: int
    books: int
    seed: int
    start: dt.date
    horizon: int

    @property
    def start_ms(self) -> int:
        """Midnight UTC of the first day, milliseconds since 1970."""
        return (self.start - dt.date(1970, 1, 1)).days * DAY_MS

    @property
    def migration_day(self) -> int:
        """The day from which on only Segment is in use."""
        return self.horizon * 2 // 5

    def rng(self, stream: str, day: int = 0) -> np.random.Generator:
        """The random generator of one part of the world on one day."""
        return np.random.default_rng([self.seed, *stream.encode(), 0, day + NEVER])


@dataclass(frozen=True)
class World:
    """The readers (dtype READER) and books (dtype BOOK) up to a day, in order of arrival."""

    spec: WorldSpec
    readers: Table
    books: Table


def make_world(spec: WorldSpec, *, days: int) -> World:
    """Create the readers and books that arrive within `days` days from the start."""
    readers = [
        _make_readers(spec, day=day, count=_arrivals_on_day(spec.readers, RESIDENT_READERS, spec.horizon, day))
        for day in range(-1, days)
    ]
    books = [
        _make_books(spec, day=day, count=_arrivals_on_day(spec.books, RESIDENT_BOOKS, spec.horizon, day))
        for day in range(-1, days)
    ]
    return World(spec, np.concatenate(readers), np.concatenate(books))


def world_until(world: World, day: int) -> World:
    """The readers and books that arrived before a day: equal to a world made for so many days."""
    # Sorted by arrival from day 0 on; the days before the start are all below 0.
    readers = int(np.searchsorted(world.readers["created_day"], day))
    books = int(np.searchsorted(world.books["published_day"], day))
    return World(world.spec, world.readers[:readers], world.books[:books])


def log_odds(readers: Table, books: Table) -> Floats:
    """How much each reader likes the book beside it, in log-odds; shape (n,)."""
    match = np.einsum("nf,nf->n", readers["factors"], books["factors"])
    return np.asarray(match + readers["bias"] + books["bias"] + BASE, dtype=np.float32)


def _arrivals_on_day(total: int, residents: float, horizon: int, day: int) -> int:
    """The number of arrivals on a day; day -1 is all the time before the start."""
    before = round(total * residents)
    pace = (total - before) / horizon
    return before if day < 0 else round(pace * (day + 1)) - round(pace * day)


def _make_readers(spec: WorldSpec, *, day: int, count: int) -> Table:
    rng = spec.rng("readers", day)
    readers = np.zeros(count, dtype=READER)
    _draw_demographics(readers, rng)
    _draw_life_cycle(readers, rng, spec=spec, day=day)
    _draw_reader_factors(readers, rng)
    return readers


def _draw_demographics(readers: Table, rng: np.random.Generator) -> None:
    shares = np.array([country.share for country in COUNTRIES])
    readers["country"] = rng.choice(len(COUNTRIES), len(readers), p=shares / shares.sum())
    languages = np.array([LANGUAGES.index(country.language) for country in COUNTRIES])
    readers["language"] = languages[readers["country"]]
    readers["device"] = rng.choice(len(PLATFORMS), len(readers), p=[0.3, 0.4, 0.3])
    readers["other_device"] = rng.choice(len(PLATFORMS), len(readers), p=[0.6, 0.2, 0.2])
    readers["yearly"] = rng.random(len(readers)) < 0.3
    readers["rate"] = np.minimum(rng.lognormal(-0.85, 0.8, len(readers)), 3.0)


def _draw_life_cycle(readers: Table, rng: np.random.Generator, *, spec: WorldSpec, day: int) -> None:
    """Draw when each reader arrives, signs up, subscribes, cancels and leaves."""
    n = len(readers)
    before = 1 + rng.exponential(200, n).astype(np.int32) % 900
    readers["created_day"] = created = -before if day < 0 else np.full(n, day)
    readers["created_ms"] = spec.start_ms + created * np.int64(DAY_MS) + moments(rng, readers["country"])
    readers["first_day"] = created - (rng.integers(0, 4, n) if day >= 0 else 0)
    readers["last_day"] = np.maximum(created, 0) + rng.exponential(150, n).astype(np.int32)
    paying = rng.random(n) < 0.4
    readers["premium_day"] = np.where(paying, created + rng.exponential(25, n).astype(np.int32), NEVER)
    term = np.where(readers["yearly"], 365, 30)
    readers["cancel_day"] = readers["premium_day"] + term * (1 + rng.geometric(0.12, n)) - rng.integers(1, 9, n)


def moments(rng: np.random.Generator, country: Ints) -> Ints:
    """A time within a UTC day, in milliseconds, at an hour when people of the country read."""
    hours = np.array(HOURS) / sum(HOURS)
    offsets = np.array([each.utc_offset for each in COUNTRIES])
    hour = (rng.choice(24, len(country), p=hours) - offsets[country]) % 24
    return np.asarray(hour * 3_600_000 + rng.integers(0, 3_600_000, len(country)), dtype=np.int64)


def _draw_reader_factors(readers: Table, rng: np.random.Generator) -> None:
    n, kinds = len(readers), len(CATEGORIES)
    liking = rng.dirichlet(np.full(kinds, 0.3), n)
    root = np.sqrt(liking)
    readers["factors"][:, :kinds] = CATEGORY_TASTE * (root - root.mean(axis=1, keepdims=True))
    readers["factors"][:, kinds : kinds + STYLES] = STYLE_TASTE / np.sqrt(STYLES) * rng.standard_normal((n, STYLES))
    readers["factors"][:, kinds + STYLES :] = _language_losses(readers["language"], rng)
    readers["bias"] = rng.normal(0, 0.3, n)
    readers["interests"] = _stated_interests(liking, rng)


def _language_losses(language: Ints, rng: np.random.Generator) -> Floats:
    """The penalty of each language, shape (readers, languages)."""
    losses = np.full((len(language), len(LANGUAGES)), -FOREIGN, dtype=np.float32)
    losses[rng.random(len(language)) < 0.5, LANGUAGES.index("en")] = -SECOND
    losses[np.arange(len(language)), language] = 0
    return losses


def _stated_interests(liking: Floats, rng: np.random.Generator) -> Ints:
    """One to four stated interests of each reader: mostly true tastes, with some noise."""
    noisy = np.log(liking + 0.02) + rng.gumbel(0, 0.5, liking.shape)
    order = np.argsort(-noisy, axis=1)[:, :4]
    said = np.arange(4) < rng.integers(1, 5, len(liking))[:, None]
    return np.asarray((np.int64(1) << order).sum(axis=1, where=said), dtype=np.int64)


def _make_books(spec: WorldSpec, *, day: int, count: int) -> Table:
    rng = spec.rng("books", day)
    books = np.zeros(count, dtype=BOOK)
    age = 1 + rng.exponential(500, count).astype(np.int32) % 2500
    books["published_day"] = -age if day < 0 else day
    books["gone_day"] = np.where(
        rng.random(count) < 0.03, np.maximum(books["published_day"], 0) + rng.integers(1, 60, count), NEVER
    )
    books["language"] = rng.choice(len(LANGUAGES), count, p=LANGUAGE_SHARES)
    books["chapters"] = rng.integers(3, 9, count)
    books["author"] = rng.integers(0, max(1, spec.books // 3), count)
    books["title"] = rng.integers(0, 1 << 30, count)
    books["premium"] = rng.random(count) < 0.7
    books["bias"] = rng.normal(0, 0.5, count)
    books["popularity"] = rng.normal(0, FAME, count) + 0.5 * books["bias"]
    _draw_book_factors(books, rng, spec=spec)
    return books


def _draw_book_factors(books: Table, rng: np.random.Generator, *, spec: WorldSpec) -> None:
    """Draw categories, language and the latent style, most of which an author's books share."""
    n, kinds = len(books), len(CATEGORIES)
    held = np.arange(3) < rng.integers(1, 4, n)[:, None]
    chosen = np.argsort(rng.random((n, kinds)), axis=1)[:, :3]
    weights = np.zeros((n, kinds), dtype=np.float32)
    np.put_along_axis(weights, chosen, held / held.sum(axis=1, keepdims=True), axis=1)
    authors = spec.rng("authors").standard_normal((max(1, spec.books // 3), STYLES))
    books["categories"] = (np.int64(1) << chosen).sum(axis=1, where=held)
    books["factors"][:, :kinds] = weights
    books["factors"][:, kinds : kinds + STYLES] = 0.6 * authors[books["author"]] + 0.8 * rng.standard_normal(
        (n, STYLES)
    )
    books["factors"][np.arange(n), kinds + STYLES + books["language"]] = 1
