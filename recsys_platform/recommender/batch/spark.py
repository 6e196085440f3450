"""Rank all users with Spark, for more users than one machine should rank, by the same function as on one machine.

Belongs here: the tables of users and books, and ranking of a batch of users. Does not: the ranking itself (ranking/top_k.py), reading
and writing (spark_job.py). pyspark is imported by the callers that pass its frames.

Books are broadcast to every worker. A list does not depend on the users in its batch, so that it equals that of one machine.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from recsys_platform.recommender.arrays import AnyArray, BoolArray, Csr, FloatArray, IdArray
from recsys_platform.recommender.data.dataset import pair_matrix
from recsys_platform.recommender.errors import DataError
from recsys_platform.recommender.ranking.top_k import NONE, Factors, top_k

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_VECTOR = ("vector", pa.list_(pa.float32()))
USERS = pa.schema([("user_id", pa.string()), _VECTOR, ("exclude", pa.list_(pa.int32()))])
"""A user's vector, and the positions of the books that the user must not be shown."""
BOOKS = pa.schema(
    [("position", pa.int32()), ("book_id", pa.string()), _VECTOR, ("bias", pa.float32()), ("allowed", pa.bool_())]
)
"""A book's position from 0 (of equal scores the lower wins), its vector and bias, and whether anybody may be shown it."""
LISTS = pa.schema([("user_id", pa.string()), ("rank", pa.int32()), ("book_id", pa.string()), ("score", pa.float64())])
"""Ranks count from 1."""


def user_table(ids: IdArray, vectors: FloatArray, exclude: Csr) -> pa.Table:
    """Users as `USERS`: `vectors` (n_users, c), `exclude` (n_users, n_books) true where a book is not to be shown."""
    excluded = pa.ListArray.from_arrays(exclude.indptr.astype(np.int32), exclude.indices.astype(np.int32))
    return pa.table([pa.array(ids, pa.string()), _list_array(vectors), excluded], schema=USERS)


def book_table(ids: IdArray, vectors: FloatArray, bias: FloatArray, allowed: BoolArray) -> pa.Table:
    """Books as `BOOKS`, of shapes (n_books,), (n_books, c), (n_books,), (n_books,)."""
    positions = np.arange(len(ids), dtype=np.int32)
    columns: list[AnyArray | pa.Array] = [positions, pa.array(ids, pa.string()), _list_array(vectors), bias, allowed]
    return pa.table([pa.array(column) for column in columns], schema=BOOKS)


@dataclass(frozen=True)
class BookArrays:
    """The books as arrays, in the order of their positions."""

    ids: pa.Array
    vectors: FloatArray
    bias: FloatArray
    allowed: BoolArray

    @classmethod
    def of(cls, books: pa.Table) -> "BookArrays":
        """The arrays of a table of `BOOKS` in any order of rows. Raises DataError if a position is missing or repeated."""
        ordered = books.sort_by("position").combine_chunks()
        if ordered["position"].to_pylist() != list(range(len(ordered))):
            raise DataError("The books' positions do not run from 0 without a gap: write the table of books again.")
        return cls(
            ids=ordered["book_id"].combine_chunks(),
            vectors=_vector_matrix(ordered["vector"].combine_chunks(), len(ordered)),
            bias=np.asarray(ordered["bias"], dtype=np.float32),
            allowed=np.asarray(ordered["allowed"], dtype=bool),
        )


def rank_batch(users: pa.RecordBatch, books: BookArrays, k: int) -> pa.RecordBatch:
    """Up to k books for each user of a batch, as `LISTS`. Raises DataError if vectors of users and books differ in length."""
    vectors = _vector_matrix(users.column("vector"), users.num_rows)
    if vectors.shape[1] != books.vectors.shape[1]:
        raise DataError(
            f"The users' vectors have {vectors.shape[1]} components and the books' {books.vectors.shape[1]}: "
            "write both of one model version."
        )
    rows = np.arange(users.num_rows, dtype=np.int32)
    factors = Factors(vectors, books.vectors, books.bias)
    ranked = top_k(factors, rows, k=k, exclude=_excluded_pairs(users, len(books.ids)), allowed=books.allowed)
    row, place = np.nonzero(ranked.books != NONE)
    return pa.record_batch(
        [
            users.column("user_id").take(pa.array(row)),
            pa.array((place + 1).astype(np.int32)),
            books.ids.take(pa.array(ranked.books[row, place])),
            pa.array(ranked.scores[row, place].astype(np.float64)),
        ],
        schema=LISTS,
    )


def rank_with_spark(users: "DataFrame", books: pa.Table, *, k: int) -> "DataFrame":
    """Up to k books for every row of a Spark frame like `USERS`, as a lazy Spark frame like `LISTS`.

    Raises DataError on the driver if the books are invalid.
    """
    BookArrays.of(books)
    shared = users.sparkSession.sparkContext.broadcast(_to_bytes(books))

    def rank(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        arrays = BookArrays.of(_from_bytes(shared.value))
        for batch in batches:
            if batch.num_rows:
                yield rank_batch(batch, arrays, k)

    return users.mapInArrow(rank, "user_id string, rank int, book_id string, score double")


def _list_array(vectors: FloatArray) -> pa.Array:
    ends = np.arange(len(vectors) + 1, dtype=np.int32) * vectors.shape[1]
    return pa.ListArray.from_arrays(ends, pa.array(np.ascontiguousarray(vectors, dtype=np.float32).ravel()))


def _vector_matrix(lists: pa.Array, rows: int) -> FloatArray:
    """Lists of equal length as a matrix. Raises DataError if their lengths differ."""
    lengths = np.unique(np.asarray(lists.value_lengths().fill_null(0)))
    if len(lengths) != 1 or not lengths[0]:
        raise DataError("Vectors are missing or of several lengths: write the tables of users and books again.")
    return np.asarray(lists.flatten(), dtype=np.float32).reshape(rows, -1)


def _excluded_pairs(users: pa.RecordBatch, n_books: int) -> Csr:
    lists: Any = users.column("exclude")
    lengths = np.asarray(lists.value_lengths().fill_null(0))
    row = np.repeat(np.arange(users.num_rows, dtype=np.int32), lengths)
    return pair_matrix(row, np.asarray(lists.flatten(), dtype=np.int32), (users.num_rows, n_books))


def _to_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _from_bytes(data: bytes) -> pa.Table:
    return pa.ipc.open_stream(data).read_all()
