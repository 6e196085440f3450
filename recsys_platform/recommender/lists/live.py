"""Live lists: one reader's list at request time, by masks that are made once for each item catalog.

Belongs here: the list of one reader, in the training data or not, and why each book is in it. Does not: lists of many readers
(list_builder.py), where a reader's history comes from (serving/).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from recsys_platform.recommender.arrays import BoolArray, DoubleArray, FloatArray, IntArray
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.lists.exploration import Shown, propensity_after_draw
from recsys_platform.recommender.lists.list_builder import list_builder_for, live_lists
from recsys_platform.recommender.lists.list_rules import Exploration, ListRules
from recsys_platform.recommender.lists.rules import in_language, offered_by_tier
from recsys_platform.recommender.models.fallback import Readers, WithFallback
from recsys_platform.recommender.models.histories import Histories, history_of
from recsys_platform.recommender.models.protocol import Recommender
from recsys_platform.recommender.ranking.top_k import NONE, AllowedForOne, bias_of, select_top_k

_ROW = np.zeros(1, np.int32)


@dataclass(frozen=True)
class LiveReader:
    """A reader at request time; books are indexes of the item catalog.

    `history`: liked books, oldest first. `out`: books that are not to be recommended. `finished`: those that may explain a
    recommendation. `free`: on the free tier.
    """

    history: Sequence[int] = ()
    out: Sequence[int] = ()
    finished: Sequence[int] = ()
    language: str = ""
    interests: Sequence[str] = ()
    free: bool = True


@dataclass(frozen=True)
class LiveList:
    """A list, best book first; arrays of the same length, at most k.

    `scores` is NaN for a promoted book. `propensity`: the probability of the book at its rank. `because`: the finished book that
    contributes most to the score, or NONE.
    """

    books: IntArray
    scores: FloatArray
    propensity: DoubleArray
    because: IntArray

    def first(self, length: int) -> "LiveList":
        """Return the beginning of the list."""
        return LiveList(*(getattr(self, each.name)[:length] for each in fields(self)))

    def followed_by(self, whole: "LiveList") -> "LiveList":
        """Return this list, in which exploration drew, with the rest of `whole`, the longer list without exploration.

        A promoted book keeps its rank. The books that were drawn leave gaps in the rest, so a book there has a propensity too.
        """
        at, propensity = _rest_of_list(self, whole)
        rest = replace(whole, propensity=propensity)
        return LiveList(
            *(np.concatenate([getattr(self, each.name), getattr(rest, each.name)[at]]) for each in fields(self))
        )


def _rest_of_list(head: LiveList, whole: LiveList) -> tuple[IntArray, DoubleArray]:
    """Indexes in `whole` of the books that follow `head`, in order, and the propensities of all books of `whole` behind it."""
    size, chance = len(head.books), head.propensity < 1
    promoted = np.isnan(whole.scores)
    at = np.arange(size, len(whole.books), dtype=np.int32)
    plain = np.flatnonzero(~promoted & ~np.isin(whole.books, head.books)).astype(np.int32)
    free = ~promoted[at]
    at[free] = plain[: int(free.sum())]
    propensity = np.ones(len(whole.books))
    if drawn := int(chance.sum()):
        before = int((~np.isnan(head.scores) & ~chance).sum())  # the best books, which keep their order
        place = (np.cumsum(~promoted) - 1)[plain] - before
        left = round(1 / float(head.propensity[chance][0]))
        propensity[plain] = propensity_after_draw(place, place - np.arange(len(plain)), left=left, drawn=drawn)
    return at, propensity


class LiveRecommender:
    """A model, an item catalog and list rules, ready for requests.

    Answers are those of `live_lists` for the same reader, bit for bit.
    """

    def __init__(self, model: Recommender, items: Dataset, rules: ListRules) -> None:
        """`items`: a data set of the books that the model was trained on; its readers are not used."""
        self.model, self.items, self.builder = model, items, list_builder_for(rules, items.without_readers())
        self._languages = frozenset(items.book_language.tolist()) if rules.rules.language == "own" else frozenset()
        self._promoted = list((self.builder.reranking.promoted or {}).values())
        self._masks: dict[tuple[str, bool], AllowedForOne] = {}

    def recommend(
        self, reader: LiveReader, *, k: int, seed: int, among: BoolArray | None = None, explore: bool = True
    ) -> LiveList:
        """Return up to k books for a reader.

        `seed`: of the exploration slots (`seed_of`), which `explore` switches off. `among`: flags of the books to choose from, all by
        default. Raises ModelError for an index outside the item catalog, ValueError if k is below 1.
        """
        history = history_of(reader.history, len(self.items.book_ids))
        scores = self._score_histories(reader, history)
        shown = self._list_of(scores, self._rules_of(reader, among), k, seed if explore else None)
        length = k if k > 0 and shown.books[0, -1] != NONE else int((shown.books[0] != NONE).sum())
        books = shown.books[0, :length]
        values = scores[0, books]
        if self._promoted:
            values[np.isin(books, self._promoted)] = np.nan
        return LiveList(books, values, shown.propensity[0, :length], self._explain(reader, history, books, values))

    def score(self, reader: LiveReader) -> FloatArray:
        """Return the scores of all books for a reader, shape (1, n_books)."""
        return self._score_histories(reader, history_of(reader.history, len(self.items.book_ids)))

    def _list_of(self, scores: FloatArray, allowed: AllowedForOne, k: int, seed: int | None) -> Shown:
        """The list by scores (1, n_books); without exploration if there is no seed."""
        exploration = self.builder.exploration if seed is not None else Exploration()
        if self.builder.reranking.changes_nothing and not exploration.slots and k > 0:
            best = select_top_k(scores, _ROW, k, allowed)
            return Shown(best.books, (best.books != NONE).astype(np.float64))
        builder = replace(self.builder, allowed=allowed, exploration=exploration)
        return live_lists(lambda _: scores, _ROW, builder, k=k, seeds=[seed or 0])

    def _score_histories(self, reader: LiveReader, histories: Histories) -> FloatArray:
        if isinstance(self.model, WithFallback):
            return self.model.scores_of(Readers(histories, [reader.language], [reader.interests]))
        return self.model.fold_in(histories)

    def _rules_of(self, reader: LiveReader, among: BoolArray | None) -> AllowedForOne:
        mask = self._mask_of(reader.language, reader.free)
        out = np.array(sorted(set(reader.out)), np.int32)
        if among is None:
            return AllowedForOne(mask.books, bias=mask.bias, out=out)
        return AllowedForOne(mask.books & among, bias=np.where(among, mask.bias, np.float32(-np.inf)), out=out)

    def _mask_of(self, language: str, free: bool) -> AllowedForOne:
        """The mask of a language and a tier, made at the first request of that kind."""
        rules = self.builder.rules
        key = (language if language in self._languages else "", free and rules.premium)
        if key not in self._masks:
            offered = offered_by_tier(rules, self.items, self.builder.blocked)
            books = in_language(key[0], offered, self.items)[[int(key[1])]]
            self._masks[key] = AllowedForOne(books, bias=bias_of(books))
        return self._masks[key]

    def _explain(self, reader: LiveReader, histories: Histories, books: IntArray, values: FloatArray) -> IntArray:
        """The finished book of the history that contributes most to each listed book's score, or NONE."""
        known = set(reader.finished)
        finished = [at for at, book in enumerate(reader.history) if book in known]
        if not finished or not len(books):
            return np.full(len(books), NONE, np.int32)
        added = self.model.contributions(histories, books)
        if len(finished) < len(added):
            added = added[finished]
        best = added.argmax(axis=0)
        explained = (added[best, np.arange(len(books))] > 0) & ~np.isnan(values)
        return np.where(explained, histories.books[finished][best], np.int32(NONE))
