"""How simulated readers respond to a list: what they look at, what they click, what bores them and what makes them curious.

A reader looks at the book at rank r with the probability `Habits.looks_at(r)`, and then clicks it with a probability that depends on
the reader's taste, on what was shown before, and on whether it was opened. Within one list clicks are independent, so a click depends
on the book and its rank alone: the position-based model (Craswell et al. 2008, "An experimental comparison of click position-bias
models"), for which off-policy estimates are unbiased.

Belongs here: the parameters, the memory of a reader, probabilities. Does not: what readers do on a day (visits.py).
"""

from dataclasses import dataclass, field

import numpy as np

from recsys_platform.simulation.behaviour import chance_to_finish
from recsys_platform.simulation.reader_app import Event
from recsys_platform.simulation.vocabulary import CATEGORIES
from recsys_platform.simulation.world import Floats, Ints, World, log_odds

_BITS = np.arange(len(CATEGORIES))


@dataclass(frozen=True)
class Habits:
    """How readers use the app and respond to it: shares of visits, probabilities, and factors of the probability of a click.

    `length`, `shelf`: books asked for in a list and on a shelf. `home`, `again`: shares of visits that begin at the home page, and
    that ask for a list again. `signs_in`: share of signed-out visits that sign in. `posts_twice`: of posts.

    Position: `depth` is the last rank that anybody looks at, `decay` the exponent of the position bias. Taste: `appeal` is the chance
    of a click on a liked book that is seen. `known`: factor once the book was opened. Boredom: of the last `recalls` books shown,
    `boredom` is a factor for each showing of the same book, and `sameness` the factor in a category that all of them have; a category
    bores from the share `crowded` on. Curiosity: `curiosity` is the factor for a book of an author or in a category never shown
    before.
    """

    length: int = 20
    shelf: int = 10
    depth: int = 10
    decay: float = 0.5
    appeal: float = 0.5
    boredom: float = 0.9
    sameness: float = 0.7
    crowded: float = 0.5
    recalls: int = 100
    curiosity: float = 1.2
    known: float = 0.1
    home: float = 0.5
    again: float = 0.4
    signs_in: float = 0.5
    posts_twice: float = 0.03

    def looks_at(self, rank: Ints) -> Floats:
        """The probability that the book at a rank is looked at, 1 at rank 1."""
        return np.where(rank <= self.depth, np.maximum(rank, 1) ** -self.decay, 0.0)


@dataclass
class Memory:
    """What a reader remembers, books by row of the world. `shown`: every showing, in order. `met`: books that were ever shown.

    `due` holds events that are posted later, with their times.
    """

    shown: list[int] = field(default_factory=list)
    met: set[int] = field(default_factory=set)
    opened: set[int] = field(default_factory=set)
    due: list[tuple[int, Event]] = field(default_factory=list)

    def appeal(self, world: World, habits: Habits, *, reader: int, books: Ints) -> Floats:
        """The probability of a click on each of the books, if it is looked at."""
        taste = chance_to_like(world, reader=reader, books=books)
        known = np.array([habits.known if book in self.opened else 1.0 for book in books.tolist()])
        factors = known * self.boredom(world, habits, books) * self.curiosity(world, habits, books)
        return np.minimum(1.0, habits.appeal * taste * factors)

    def boredom(self, world: World, habits: Habits, books: Ints) -> Floats:
        """The factor of each book for what was shown lately: the same book, or too much of one of its categories."""
        recent = np.array(self.shown[-habits.recalls :], dtype=np.int64)
        if not len(recent):
            return np.ones(len(books))
        showings = (recent[None, :] == books[:, None]).sum(axis=1)
        share = _has_category(world, recent).mean(axis=0)
        crowd = np.where(_has_category(world, books), share, 0.0).max(axis=1, initial=0.0)
        excess = np.maximum(0.0, crowd - habits.crowded) / (1 - habits.crowded)
        return np.asarray(habits.boredom**showings * habits.sameness**excess)

    def curiosity(self, world: World, habits: Habits, books: Ints) -> Floats:
        """The factor of each book for what is new to the reader: its author, or one of its categories."""
        met = np.fromiter(self.met, np.int64, len(self.met))
        new_author = ~np.isin(world.books["author"][books], world.books["author"][met])
        new_category = (_has_category(world, books) & ~_has_category(world, met).any(axis=0)).any(axis=1)
        return np.where(new_author | new_category, habits.curiosity, 1.0)

    def keep(self, books: Ints, clicked: Ints) -> None:
        """Remember what a list showed and which books were opened."""
        self.shown += books.tolist()
        self.met.update(books.tolist())
        self.opened.update(clicked.tolist())


def chance_to_like(world: World, *, reader: int, books: Ints) -> Floats:
    """The probability that a reader likes each of the books."""
    odds = log_odds(world.readers[np.full(len(books), reader)], world.books[books])
    return np.asarray(1 / (1 + np.exp(-odds.astype(np.float64))))


def chance_to_finish_clicked(world: World, readers: Ints, books: Ints) -> Floats:
    """The probability that each reader finishes the clicked book beside it."""
    odds = log_odds(world.readers[readers], world.books[books])
    return chance_to_finish(1 / (1 + np.exp(-odds.astype(np.float64))))


def _has_category(world: World, books: Ints) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Whether each book has each category, shape (books, categories)."""
    return (world.books["categories"][books][:, None] >> _BITS & 1).astype(bool)
