"""The published tables, as streams of Arrow record batches.

Belongs here: which users, books and segments get a list, what stands in its columns. Does not: how a list is ranked
(ranking/top_k.py), how the tables are swapped in (warehouse/).
"""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from recsys_platform.recommender.arrays import AnyArray, BoolArray, FloatArray, IdArray, IntArray
from recsys_platform.recommender.data.dataset import Dataset, pair_matrix
from recsys_platform.recommender.lists.contracts import REASON_OF_PROMOTED
from recsys_platform.recommender.lists.explanations import Explainer
from recsys_platform.recommender.lists.list_builder import best_lists, excluded_books, list_making
from recsys_platform.recommender.lists.list_rules import ListRules
from recsys_platform.recommender.models.factors import book_similarity
from recsys_platform.recommender.models.popularity import EVERYONE, Popularity
from recsys_platform.recommender.models.protocol import Recommender
from recsys_platform.recommender.ranking.top_k import NONE, Ranked, ranked_blocks, rows_at_once

RULES = ListRules()
MATCHES, OWN_LANGUAGE, POPULAR, PROMOTED = 0, 1, 2, 3
REASONS = ("matches your reading", "popular in your language", "popular", REASON_OF_PROMOTED)

_WORD = pa.dictionary(pa.int8(), pa.string())
"""For columns with a handful of values: a byte a row."""
_STAMP = [("model_version", _WORD), ("generated_at", pa.timestamp("us"))]
_RANKED = [("rank", pa.int32()), ("book_id", pa.string()), ("score", pa.float64())]
USER_RECOMMENDATIONS = pa.schema(
    [
        ("user_id", pa.string()),
        ("model", _WORD),
        *_RANKED,
        ("reason", _WORD),
        ("because_book_id", pa.string()),
        *_STAMP,
    ],
)
SIMILAR_BOOKS = pa.schema(
    [
        ("book_id", pa.string()),
        ("model", _WORD),
        ("rank", pa.int32()),
        ("similar_book_id", pa.string()),
        ("score", pa.float64()),
        *_STAMP,
    ]
)
POPULAR_BOOKS = pa.schema([("segment", pa.string()), *_RANKED, *_STAMP])


@dataclass(frozen=True)
class Edition:
    """What a run stamps on each row; `generated_at` is UTC without offset."""

    model: str
    model_version: str
    generated_at: dt.datetime


def user_recommendations(
    model: Recommender, data: Dataset, edition: Edition, *, k: int, rules: ListRules = RULES
) -> pa.RecordBatchReader:
    """Up to k books for every user, by the list rules; a promoted book has neither a score nor a book it rests on.

    `model` must have been fitted on the users and books of `data` (`TrainedModel.check_fits`).
    """
    everyone = np.arange(len(data.user_ids), dtype=np.int32)
    blocks = best_lists(model.scores, everyone, list_making(rules, data), k=k, block=rows_at_once(len(data.book_ids)))
    users, books = pa.array(data.user_ids, pa.string()), pa.array(data.book_ids, pa.string())

    def columns(rows: "_Rows") -> dict[str, pa.Array]:
        reasons = _reasons(data, model.personal(rows.row), rows)
        return {
            "user_id": users.take(pa.array(rows.row)),
            "book_id": books.take(pa.array(rows.book)),
            "reason": pa.DictionaryArray.from_arrays(pa.array(reasons, pa.int8()), list(REASONS)),
            "because_book_id": books.take(pa.array(rows.because, mask=rows.because == NONE)),
        }

    return _reader(USER_RECOMMENDATIONS, blocks, edition, columns, explainer=Explainer(model, data))


def similar_books(
    book_vectors: FloatArray, data: Dataset, edition: Edition, *, k: int, rules: ListRules = RULES
) -> pa.RecordBatchReader:
    """Up to k available books that are not excluded for every book, the most similar by the cosine of their vectors first."""
    everything = np.arange(len(data.book_ids), dtype=np.int32)
    itself = pair_matrix(everything, everything, (len(everything), len(everything)))
    blocks = ranked_blocks(
        book_similarity(book_vectors), everything, k=k, exclude=itself, allowed=_offered(rules, data)
    )
    books = pa.array(data.book_ids, pa.string())

    def columns(rows: "_Rows") -> dict[str, pa.Array]:
        return {"book_id": books.take(pa.array(rows.row)), "similar_book_id": books.take(pa.array(rows.book))}

    return _reader(SIMILAR_BOOKS, blocks, edition, columns)


def popular_books(
    popularity: Popularity, data: Dataset, edition: Edition, *, k: int, rules: ListRules = RULES
) -> pa.RecordBatchReader:
    """Up to k available books that are not excluded for `all`, and for each language (`language=en`) up to k books in it."""
    languages = popularity.languages
    foreign = (data.book_language[None, :] != languages[:, None]) & (languages != "")[:, None]
    segment, book = (index.astype(np.int32) for index in np.nonzero(foreign))
    blocks = ranked_blocks(
        lambda rows: popularity.table[rows] - (rows != EVERYONE)[:, None].astype(np.float32),
        np.arange(len(languages), dtype=np.int32),
        k=k,
        exclude=pair_matrix(segment, book, foreign.shape),
        allowed=_offered(rules, data),
    )
    names = pa.array([f"language={language}" if language else "all" for language in languages], pa.string())
    books = pa.array(data.book_ids, pa.string())

    def columns(rows: "_Rows") -> dict[str, pa.Array]:
        return {"segment": names.take(pa.array(rows.row)), "book_id": books.take(pa.array(rows.book))}

    return _reader(POPULAR_BOOKS, blocks, edition, columns)


def _offered(rules: ListRules, data: Dataset) -> BoolArray:
    return np.asarray(data.available & ~excluded_books(rules, data))


@dataclass(frozen=True)
class _Rows:
    """A block of lists as rows: whose, which book, at which rank (from 1), with which score, because of which; one length.

    The score of a promoted book is NaN, and NULL in the tables.
    """

    row: IntArray
    book: IntArray
    rank: IntArray
    score: FloatArray
    because: IntArray

    @property
    def promoted(self) -> BoolArray:
        """Which rows hold a promoted book."""
        return np.isnan(self.score)


def _reader(
    schema: pa.Schema,
    blocks: Iterator[Ranked],
    edition: Edition,
    columns: Callable[[_Rows], dict[str, pa.Array]],
    *,
    explainer: Explainer | None = None,
) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(
        schema, (_batch(schema, _flat(block, explainer), edition, columns) for block in blocks)
    )


def _batch(
    schema: pa.Schema, rows: _Rows, edition: Edition, columns: Callable[[_Rows], dict[str, pa.Array]]
) -> pa.RecordBatch:
    n = len(rows.row)
    common = {
        "model": _constant(edition.model, n),
        "rank": pa.array(rows.rank),
        "score": pa.array(rows.score.astype(np.float64), mask=rows.promoted),
        "model_version": _constant(edition.model_version, n),
        "generated_at": pa.repeat(pa.scalar(edition.generated_at, pa.timestamp("us")), n),
    }
    found = common | columns(rows)
    return pa.record_batch([found[name] for name in schema.names], schema=schema)


def _flat(block: Ranked, explainer: Explainer | None) -> _Rows:
    because = explainer.because(block) if explainer else np.full(block.books.shape, NONE, np.int32)
    because = np.where(np.isnan(block.scores), NONE, because)
    list_number, position = np.nonzero(block.books != NONE)
    return _Rows(
        row=block.rows[list_number],
        book=block.books[list_number, position],
        rank=(position + 1).astype(np.int32),
        score=block.scores[list_number, position],
        because=because[list_number, position],
    )


def _reasons(data: Dataset, personal: BoolArray, rows: _Rows) -> AnyArray:
    language: IdArray = data.user_language[rows.row]
    own = (language == data.book_language[rows.book]) & (language != "")
    unpromoted = np.where(personal, MATCHES, np.where(own, OWN_LANGUAGE, POPULAR))
    return np.where(rows.promoted, PROMOTED, unpromoted)


def _constant(text: str, n: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int8)), [text])
