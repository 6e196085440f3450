"""Build lists from scores: the same code for a whole publication and for a single request.

Belongs here: applying the list rules to a data set, and building lists by them. Does not: scores (models/), the steps
(ranking/top_k.py, reranking.py, exploration.py), the columns of published tables (published_tables.py).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from recsys_platform.recommender.arrays import BoolArray, Csr, IntArray
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.lists.exploration import Shown, explore
from recsys_platform.recommender.lists.list_rules import Exploration, ListRules
from recsys_platform.recommender.lists.reranking import (
    Reranking,
    category_vectors,
    promoted_books,
    rerank,
    with_promoted,
)
from recsys_platform.recommender.lists.rules import Rules, apply_rules, apply_rules_to_reader
from recsys_platform.recommender.ranking.top_k import (
    BLOCK,
    NONE,
    Allowed,
    Factors,
    Ranked,
    ScoreFunction,
    ranked_blocks,
    top_k,
)

CATEGORY = "category="
WIDEN_FACTOR = 4
"""Growth of the candidate count for readers whose candidates do not fill a list."""


@dataclass(frozen=True)
class ListBuilder:
    """List rules applied to one data set, as arrays.

    `blocked` (n_books,): flags of books that are excluded for all readers. `kinds`: category vectors of the books
    (`category_vectors`).
    """

    rules: Rules
    blocked: BoolArray
    allowed: Allowed
    reranking: Reranking
    kinds: Csr
    exploration: Exploration


def list_builder_for(rules: ListRules, data: Dataset) -> ListBuilder:
    """Apply list rules to a data set. Books of the rules that are not in the item catalog are ignored (see `ineffective_rules`)."""
    order = rules.reranking
    index_of = book_indexes([each.book_id for each in order.promoted], data)
    promoted = {each.rank: index_of[each.book_id] for each in order.promoted if each.book_id in index_of}
    reranking = Reranking(order.diversity, order.most_of_a_category, promoted, order.pool)
    blocked = excluded_books(rules, data)
    allowed = apply_rules(rules.rules, data, blocked=blocked)
    return ListBuilder(
        rules.rules, blocked, allowed, reranking, category_vectors(categories_of(data)), rules.exploration
    )


def for_one_reader(
    builder: ListBuilder, data: Dataset, *, language: str, free: bool, out: Sequence[int]
) -> ListBuilder:
    """Return the builder for one reader, in the data set or not, as row 0; arguments as for `apply_rules_to_reader`."""
    allowed = apply_rules_to_reader(builder.rules, data, language=language, free=free, out=out, blocked=builder.blocked)
    return replace(builder, allowed=allowed)


def best_lists(
    score: ScoreFunction | Factors, rows: IntArray, builder: ListBuilder, *, k: int, block: int = BLOCK
) -> Iterator[Ranked]:
    """Build lists of up to k books per row, one block of rows at a time: rules, then diversity, caps and promotions.

    `score`: a function from rows to scores, or factors. `rows`: user indexes of the data set. `k`: length of the lists. A row's list
    does not depend on the other rows, and a shorter list is the beginning of a longer one. Promoted books have the score NaN.
    Raises ValueError if k is below 1.
    """
    yield from _build_lists(score, rows, builder, k, enough=k, block=block)


def _build_lists(
    score: ScoreFunction | Factors, rows: IntArray, builder: ListBuilder, k: int, *, enough: int, block: int
) -> Iterator[Ranked]:
    """As `best_lists`, but more candidates are only considered until `enough` books are found."""
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}.")
    if builder.reranking.changes_nothing:
        yield from ranked_blocks(score, rows, k=k, allowed=builder.allowed, block=block)
        return
    for best in ranked_blocks(score, rows, k=_candidate_count(builder, k), allowed=builder.allowed, block=block):
        lists = _rerank_block(score, best, builder, k, enough)
        yield with_promoted(lists, promoted_books(builder.reranking, best.rows, builder.allowed))


def live_lists(
    score: ScoreFunction | Factors, rows: IntArray, builder: ListBuilder, *, k: int, seeds: Sequence[int]
) -> Shown:
    """Build lists for live requests: as `best_lists`, with the exploration slots filled at random, one seed per row (`seed_of`).

    Books and propensities have the shape (len(rows), k). Draws come from a longer list by the same rules, so caps hold; promoted books
    are never moved or drawn. Without slots, or without remaining books, the result is that of `best_lists`.
    """
    slots = builder.exploration.slots
    length = max(k, builder.exploration.pool) if slots else k
    blocks = _build_lists(score, rows, builder, length, enough=k, block=BLOCK)
    books = [_exploration_pool(block, k) if slots else block.books for block in blocks]
    pool = np.concatenate(books or [np.empty((0, length), np.int32)])
    return explore(pool, k, slots, seeds, fixed_ranks=(builder.reranking.promoted or {}).keys())


def categories_of(data: Dataset) -> Csr:
    """Return the categories that at least two books share, shape (n_books, n_categories)."""
    columns = [column for column, name in enumerate(data.book_features.names) if name.startswith(CATEGORY)]
    return sparse.csr_array(data.book_features.matrix[:, columns])


def excluded_books(rules: ListRules, data: Dataset) -> BoolArray:
    """Return flags of the books that are excluded for all readers, shape (n_books,)."""
    excluded = np.zeros(data.shape[1], dtype=bool)
    excluded[list(book_indexes(rules.exclude, data).values())] = True
    return excluded


def book_indexes(ids: Sequence[str], data: Dataset) -> dict[str, int]:
    """Return the index of each id that is in the item catalog."""
    wanted = set(ids)
    return {each: index for index, each in enumerate(data.book_ids.tolist()) if each in wanted} if wanted else {}


def ineffective_rules(rules: ListRules, data: Dataset, *, list_length: int) -> list[str]:
    """Return a sentence for each part of the list rules that has no effect on these data, for lists of that length."""
    found = [
        ("Excluded, but not in the item catalog", _ids_not_in_catalog(rules.exclude, data)),
        (
            "Promoted, but not in the item catalog",
            _ids_not_in_catalog([each.book_id for each in rules.reranking.promoted], data),
        ),
        ("Promoted, but not available now", _unavailable_promoted(rules, data)),
        (
            f"Promoted to a rank beyond the {list_length} published ones, so not on any full list",
            [each.book_id for each in rules.reranking.promoted if each.rank > list_length],
        ),
    ]
    sentences = [f"{what}: {_first_ids_text(books)}." for what, books in found if books]
    order = rules.reranking
    if (order.diversity or order.most_of_a_category) and not categories_of(data).nnz:
        sentences.append("No two books share a category: neither `diversity` nor `most_of_a_category` changes a list.")
    return sentences


def _ids_not_in_catalog(ids: Sequence[str], data: Dataset) -> set[str]:
    return set(ids) - book_indexes(ids, data).keys()


def _unavailable_promoted(rules: ListRules, data: Dataset) -> list[str]:
    indexes = book_indexes([each.book_id for each in rules.reranking.promoted], data)
    return [book for book, index in indexes.items() if rules.rules.unavailable and not data.available[index]]


def _first_ids_text(ids: Iterable[str]) -> str:
    """The first ids, and the number of further ones."""
    names = sorted(ids)
    return ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")


def _candidate_count(builder: ListBuilder, k: int) -> int:
    """Number of candidates at first: whole pools with reranking by category, else just enough."""
    params, n_books = builder.reranking, int(builder.allowed.books.shape[1])
    enough = -(-k // params.pool) * params.pool if params.uses_categories else k + len(params.promoted or {})
    return min(enough, max(n_books, 1))


def _rerank_block(score: ScoreFunction | Factors, best: Ranked, builder: ListBuilder, k: int, enough: int) -> Ranked:
    """Rerank a block of candidates; get more candidates for rows that caps have left short."""
    promoted = promoted_books(builder.reranking, best.rows, builder.allowed)
    found = rerank(best, k, builder.kinds, builder.reranking, promoted)
    width, n_books = best.books.shape[1], builder.allowed.books.shape[1]
    short = (found.books[:, enough - 1] == NONE) & (best.books[:, -1] != NONE)
    if width < n_books and short.any():
        wider = top_k(score, best.rows[short], k=min(WIDEN_FACTOR * width, n_books), allowed=builder.allowed)
        again = _rerank_block(score, wider, builder, k, enough)
        found.books[short], found.scores[short] = again.books, again.scores
    return found


def _exploration_pool(ranked: Ranked, k: int) -> IntArray:
    """The books of long lists without those promoted beyond rank k, which may only be shown at their rank."""
    beyond = np.isnan(ranked.scores) & (np.arange(ranked.books.shape[1]) >= k)[None, :]
    books = np.where(beyond, np.int32(NONE), ranked.books)
    order = np.argsort(beyond, axis=1, kind="stable")
    return np.asarray(np.take_along_axis(books, order, axis=1))
