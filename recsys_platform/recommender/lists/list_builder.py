"""From scores to finished lists: the one path of a whole publication, of any part of it, and of one request.

Belongs here: the list rules applied to a data set, and lists made by them. Does not: where scores come from (models/), the steps
(ranking/top_k.py, reranking.py, exploration.py), the columns of published tables (tables.py).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from recsys_platform.recommender.arrays import BoolArray, Csr, IntArray
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.lists.exploration import Shown, explore
from recsys_platform.recommender.lists.list_rules import Exploration, ListRules
from recsys_platform.recommender.lists.reranking import Reranking, chosen, kinds_of, offers, with_promoted
from recsys_platform.recommender.lists.rules import Rules, allowed_by, allowed_to_one
from recsys_platform.recommender.ranking.top_k import BLOCK, NONE, Allowed, Factors, Ranked, Score, ranked_blocks, top_k

CATEGORY = "category="
WIDER = 4
"""How many times as many books are looked at for the few readers whose best ones do not fill a list."""


@dataclass(frozen=True)
class ListMaking:
    """List rules as they apply to one data set.

    `never` (n_books,): books that nobody is offered. `kinds`: what books are compared and counted by, of `kinds_of`.
    """

    rules: Rules
    never: BoolArray
    allowed: Allowed
    reranking: Reranking
    kinds: Csr
    exploration: Exploration


def list_making(rules: ListRules, data: Dataset) -> ListMaking:
    """Find the rules' books in the data set's catalogue; those that are not there are on no list (`unheeded` names them)."""
    order = rules.reranking
    place = places_of([each.book_id for each in order.promoted], data)
    promoted = {each.rank: place[each.book_id] for each in order.promoted if each.book_id in place}
    reranking = Reranking(order.diversity, order.most_of_a_category, promoted, order.pool)
    never = excluded_books(rules, data)
    allowed = allowed_by(rules.rules, data, never=never)
    return ListMaking(rules.rules, never, allowed, reranking, kinds_of(categories_of(data)), rules.exploration)


def for_one_reader(making: ListMaking, data: Dataset, *, language: str, free: bool, out: Sequence[int]) -> ListMaking:
    """The same for one reader as of now, whom the data set need not know: row 0; the rest as for `allowed_to_one`."""
    allowed = allowed_to_one(making.rules, data, language=language, free=free, out=out, never=making.never)
    return replace(making, allowed=allowed)


def best_lists(
    score: Score | Factors, rows: IntArray, making: ListMaking, *, k: int, block: int = BLOCK
) -> Iterator[Ranked]:
    """Lists of up to k books for each row, a block of rows at a time: rules, then diversity, caps and promotions.

    The list of a row is the same whatever rows share its block, if its scores are, and a shorter list is the beginning of a longer
    one. The score of a promoted book is NaN: it does not stand there because of one.
    """
    yield from _lists(score, rows, making, k, enough=k, block=block)


def _lists(
    score: Score | Factors, rows: IntArray, making: ListMaking, k: int, *, enough: int, block: int
) -> Iterator[Ranked]:
    """As `best_lists`, but what `enough` books are found for is not made any longer by looking at more."""
    if k < 1:
        raise ValueError(f"A list holds at least one book, not {k}.")
    if making.reranking.changes_nothing:
        yield from ranked_blocks(score, rows, k=k, allowed=making.allowed, block=block)
        return
    for best in ranked_blocks(score, rows, k=_width(making, k), allowed=making.allowed, block=block):
        lists = _chosen(score, best, making, k, enough)
        yield with_promoted(lists, offers(making.reranking, best.rows, making.allowed))


def live_lists(score: Score | Factors, rows: IntArray, making: ListMaking, *, k: int, seeds: Sequence[int]) -> Shown:
    """What live answers show: the rows' lists with the slots of exploration filled by chance, by one seed a row (`seed_of`).

    Books and propensities have the shape (len(rows), k). What is drawn comes from the same list, made longer as far as the books
    looked at for it allow, so it breaks no cap; promoted books are never moved or drawn. Without slots, or where nothing is left to
    try, it is what `best_lists` gives.
    """
    slots = making.exploration.slots
    length = max(k, making.exploration.pool) if slots else k
    blocks = list(_lists(score, rows, making, length, enough=k, block=BLOCK))
    pool = np.concatenate([_to_draw_from(block, k) for block in blocks] or [np.empty((0, length), np.int32)])
    return explore(pool, k, slots, seeds, staying=(making.reranking.promoted or {}).keys())


def categories_of(data: Dataset) -> Csr:
    """The categories that at least two books share, shape (n_books, n_categories)."""
    columns = [column for column, name in enumerate(data.book_features.names) if name.startswith(CATEGORY)]
    return sparse.csr_array(data.book_features.matrix[:, columns])


def excluded_books(rules: ListRules, data: Dataset) -> BoolArray:
    """Flags of the books that nobody is offered, shape (n_books,)."""
    excluded = np.zeros(data.shape[1], dtype=bool)
    excluded[list(places_of(rules.exclude, data).values())] = True
    return excluded


def places_of(ids: Sequence[str], data: Dataset) -> dict[str, int]:
    """The index of each id that is in the catalogue."""
    wanted = set(ids)
    return {each: place for place, each in enumerate(data.book_ids.tolist()) if each in wanted} if wanted else {}


def unheeded(rules: ListRules, data: Dataset, *, list_length: int) -> list[str]:
    """A sentence for each part of the list rules that does not do what it says on these data, in lists of that many books."""
    found = [
        ("Excluded, but not in the catalogue", _missing(rules.exclude, data)),
        ("Promoted, but not in the catalogue", _missing([each.book_id for each in rules.reranking.promoted], data)),
        ("Promoted, but not available now", _shut(rules, data)),
        (
            f"Promoted to a rank beyond the {list_length} that are published, and so on no full list",
            [each.book_id for each in rules.reranking.promoted if each.rank > list_length],
        ),
    ]
    said = [f"{what}: {_some(books)}." for what, books in found if books]
    order = rules.reranking
    if (order.diversity or order.most_of_a_category) and not categories_of(data).nnz:
        said.append("No two books share a category: neither `diversity` nor `most_of_a_category` changes a list.")
    return said


def _missing(ids: Sequence[str], data: Dataset) -> set[str]:
    return set(ids) - places_of(ids, data).keys()


def _shut(rules: ListRules, data: Dataset) -> list[str]:
    places = places_of([each.book_id for each in rules.reranking.promoted], data)
    return [book for book, place in places.items() if rules.rules.unavailable and not data.available[place]]


def _some(ids: Iterable[str]) -> str:
    """The first ids, and how many more there are."""
    names = sorted(ids)
    return ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")


def _width(making: ListMaking, k: int) -> int:
    """How many best books to choose from at first: whole pools, or just enough where all are taken in their order."""
    params, n_books = making.reranking, int(making.allowed.books.shape[1])
    enough = -(-k // params.pool) * params.pool if params.by_kind else k + len(params.promoted or {})
    return min(enough, max(n_books, 1))


def _chosen(score: Score | Factors, best: Ranked, making: ListMaking, k: int, enough: int) -> Ranked:
    """Of some readers' best books those for their lists; of more of them for readers whose list caps have left short."""
    promoted = offers(making.reranking, best.rows, making.allowed)
    found = chosen(best, k, making.kinds, making.reranking, promoted)
    width, n_books = best.books.shape[1], making.allowed.books.shape[1]
    short = (found.books[:, enough - 1] == NONE) & (best.books[:, -1] != NONE)
    if width < n_books and short.any():
        wider = top_k(score, best.rows[short], k=min(WIDER * width, n_books), allowed=making.allowed)
        again = _chosen(score, wider, making, k, enough)
        found.books[short], found.scores[short] = again.books, again.scores
    return found


def _to_draw_from(ranked: Ranked, k: int) -> IntArray:
    """The books of long lists without those promoted beyond rank k, which are shown at their rank or not at all."""
    beyond = np.isnan(ranked.scores) & (np.arange(ranked.books.shape[1]) >= k)[None, :]
    books = np.where(beyond, np.int32(NONE), ranked.books)
    order = np.argsort(beyond, axis=1, kind="stable")
    return np.asarray(np.take_along_axis(books, order, axis=1))
