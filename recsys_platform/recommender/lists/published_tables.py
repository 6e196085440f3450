"""The published tables, as streams of Arrow record batches.

Belongs here: which users, books and segments get a list, and its columns. Does not: ranking (ranking/top_k.py), swapping the tables
in (warehouse/).
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
from recsys_platform.recommender.lists.list_builder import best_lists, excluded_books, list_builder_for
from recsys_platform.recommender.lists.list_rules import ListRules
from recsys_platform.recommender.models.factors import book_similarity
from recsys_platform.recommender.models.popularity import EVERYONE, Popularity
from recsys_platform.recommender.models.protocol import Recommender
from recsys_platform.recommender.ranking.top_k import NONE, Ranked, ranked_blocks, rows_at_once

RULES = ListRules()
MATCHES, OWN_LANGUAGE, POPULAR, PROMOTED = 0, 1, 2, 3
REASONS = ("matches your reading", "popular in your language", "popular", REASON_OF_PROMOTED)

_DICTIONARY = pa.dictionary(pa.int8(), pa.string())
"""Dictionary type for columns with few values: one byte per row."""
_STAMP = [("model_version", _DICTIONARY), ("generated_at", pa.timestamp("us"))]
_RANKED = [("rank", pa.int32()), ("book_id", pa.string()), ("score", pa.float64())]
USER_RECOMMENDATIONS = pa.schema(
    [
        ("user_id", pa.string()),
        ("model", _DICTIONARY),
        *_RANKED,
        ("reason", _DICTIONARY),
        ("because_book_id", pa.string()),
        *_STAMP,
    ],
)
SIMILAR_BOOKS = pa.schema(
    [
        ("book_id", pa.string()),
        ("model", _DICTIONARY),
        ("rank", pa.int32()),
        ("similar_book_id", pa.string()),
        ("score", pa.float64()),
        *_STAMP,
    ]
)
POPULAR_BOOKS = pa.schema([("segment", pa.string()), *_RANKED, *_STAMP])


@dataclass(frozen=True)
class Stamp:
    """Model, version and time on each row; `generated_at` is UTC without offset."""

    model: str
    model_version: str
    generated_at: dt.datetime


def user_recommendations(
    model: Recommender, data: Dataset, stamp: Stamp, *, k: int, rules: ListRules = RULES
) -> pa.RecordBatchReader:
    """Build up to k rows per user, by the list rules; promoted books have no score and no `because_book_id`.

    `model` must be fitted on the users and books of `data` (`TrainedModel.check_fits`).
    """
    everyone = np.arange(len(data.user_ids), dtype=np.int32)
    blocks = best_lists(
        model.scores, everyone, list_builder_for(rules, data), k=k, block=rows_at_once(len(data.book_ids))
    )
    users, books = pa.array(data.user_ids, pa.string()), pa.array(data.book_ids, pa.string())

    def columns(rows: "_ListRows") -> dict[str, pa.Array]:
        reasons = _reason_codes(data, model.personal(rows.row), rows)
        return {
            "user_id": users.take(pa.array(rows.row)),
            "book_id": books.take(pa.array(rows.book)),
            "reason": pa.DictionaryArray.from_arrays(pa.array(reasons, pa.int8()), list(REASONS)),
            "because_book_id": books.take(pa.array(rows.because, mask=rows.because == NONE)),
        }

    return _record_batch_reader(USER_RECOMMENDATIONS, blocks, stamp, columns, explainer=Explainer(model, data))


def similar_books(
    book_vectors: FloatArray, data: Dataset, stamp: Stamp, *, k: int, rules: ListRules = RULES
) -> pa.RecordBatchReader:
    """Build up to k rows per book: the most similar available books that are not excluded, by cosine of their vectors."""
    everything = np.arange(len(data.book_ids), dtype=np.int32)
    itself = pair_matrix(everything, everything, (len(everything), len(everything)))
    blocks = ranked_blocks(
        book_similarity(book_vectors), everything, k=k, exclude=itself, allowed=_offered_books(rules, data)
    )
    books = pa.array(data.book_ids, pa.string())

    def columns(rows: "_ListRows") -> dict[str, pa.Array]:
        return {"book_id": books.take(pa.array(rows.row)), "similar_book_id": books.take(pa.array(rows.book))}

    return _record_batch_reader(SIMILAR_BOOKS, blocks, stamp, columns)


def popular_books(
    popularity: Popularity, data: Dataset, stamp: Stamp, *, k: int, rules: ListRules = RULES
) -> pa.RecordBatchReader:
    """Build up to k rows for the segment `all` and for each language (`language=en`), of available books that are not excluded."""
    languages = popularity.languages
    foreign = (data.book_language[None, :] != languages[:, None]) & (languages != "")[:, None]
    segment, book = (index.astype(np.int32) for index in np.nonzero(foreign))
    blocks = ranked_blocks(
        lambda rows: popularity.table[rows] - (rows != EVERYONE)[:, None].astype(np.float32),
        np.arange(len(languages), dtype=np.int32),
        k=k,
        exclude=pair_matrix(segment, book, foreign.shape),
        allowed=_offered_books(rules, data),
    )
    names = pa.array([f"language={language}" if language else "all" for language in languages], pa.string())
    books = pa.array(data.book_ids, pa.string())

    def columns(rows: "_ListRows") -> dict[str, pa.Array]:
        return {"segment": names.take(pa.array(rows.row)), "book_id": books.take(pa.array(rows.book))}

    return _record_batch_reader(POPULAR_BOOKS, blocks, stamp, columns)


def _offered_books(rules: ListRules, data: Dataset) -> BoolArray:
    return np.asarray(data.available & ~excluded_books(rules, data))


@dataclass(frozen=True)
class _ListRows:
    """A block of lists as rows: arrays of one length. `row`: whose list; `rank`: from 1; `because`: the explaining book.

    The score of a promoted book is NaN, which becomes NULL in the tables.
    """

    row: IntArray
    book: IntArray
    rank: IntArray
    score: FloatArray
    because: IntArray

    @property
    def promoted(self) -> BoolArray:
        """Flags of rows with a promoted book."""
        return np.isnan(self.score)


def _record_batch_reader(
    schema: pa.Schema,
    blocks: Iterator[Ranked],
    stamp: Stamp,
    columns: Callable[[_ListRows], dict[str, pa.Array]],
    *,
    explainer: Explainer | None = None,
) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(
        schema, (_to_record_batch(schema, _flatten_block(block, explainer), stamp, columns) for block in blocks)
    )


def _to_record_batch(
    schema: pa.Schema, rows: _ListRows, stamp: Stamp, columns: Callable[[_ListRows], dict[str, pa.Array]]
) -> pa.RecordBatch:
    n = len(rows.row)
    common = {
        "model": _constant_column(stamp.model, n),
        "rank": pa.array(rows.rank),
        "score": pa.array(rows.score.astype(np.float64), mask=rows.promoted),
        "model_version": _constant_column(stamp.model_version, n),
        "generated_at": pa.repeat(pa.scalar(stamp.generated_at, pa.timestamp("us")), n),
    }
    found = common | columns(rows)
    return pa.record_batch([found[name] for name in schema.names], schema=schema)


def _flatten_block(block: Ranked, explainer: Explainer | None) -> _ListRows:
    because = explainer.because(block) if explainer else np.full(block.books.shape, NONE, np.int32)
    because = np.where(np.isnan(block.scores), NONE, because)
    list_number, position = np.nonzero(block.books != NONE)
    return _ListRows(
        row=block.rows[list_number],
        book=block.books[list_number, position],
        rank=(position + 1).astype(np.int32),
        score=block.scores[list_number, position],
        because=because[list_number, position],
    )


def _reason_codes(data: Dataset, personal: BoolArray, rows: _ListRows) -> AnyArray:
    language: IdArray = data.user_language[rows.row]
    own = (language == data.book_language[rows.book]) & (language != "")
    unpromoted = np.where(personal, MATCHES, np.where(own, OWN_LANGUAGE, POPULAR))
    return np.where(rows.promoted, PROMOTED, unpromoted)


def _constant_column(text: str, n: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int8)), [text])
