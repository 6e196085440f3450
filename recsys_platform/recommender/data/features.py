"""Attributes of users and books as sparse features.

Belongs here: how a column becomes features, and how missing and rare values are handled. Does not: which model uses them; a
model that needs an identity feature per user or book adds it itself.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from recsys_platform.recommender.arrays import Csr, IdArray, IntArray
from recsys_platform.recommender.data.dataset import Features

YEARS_A_PERIOD = 5
"""Years per publication period: wide enough to hold several books, narrow enough to show trends."""
MIN_ROWS_PER_VALUE = 2
"""Values of fewer rows are dropped: they carry no more information than the identity of the row."""

ColumnReader = Callable[[pa.ChunkedArray], tuple[IntArray, IdArray]]
"""Maps a column to (row numbers, values), with zero or more values per row."""


def feature_matrix(table: pa.Table, columns: Mapping[str, tuple[str, ColumnReader]]) -> Features:
    """Build one feature per distinct value, named `{name}={value}`.

    `columns`: column → (feature name, reader). The values of one row in one column share a weight of 1, so that a book of five
    categories does not count five times. Missing columns, empty columns and nulls give no feature. Values of fewer than
    `MIN_ROWS_PER_VALUE` rows are dropped.
    """
    parts = [_features_of_values(rows, labels, len(table)) for rows, labels in _read_columns(table, columns)]
    none = sparse.csr_array((len(table), 0), dtype=np.float32)
    matrix = sparse.hstack([none, *(part.matrix for part in parts)], format="csr")
    return Features(sparse.csr_array(matrix), tuple(name for part in parts for name in part.names))


def unit_rows(matrix: Csr) -> Csr:
    """Scale rows to length 1, so that dot products are cosines. Zero rows stay zero."""
    length = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    scale = np.divide(1.0, length, out=np.zeros(len(length)), where=length > 0)
    return sparse.csr_array(sparse.diags_array(scale) @ matrix)


def word_values(column: pa.ChunkedArray) -> tuple[IntArray, IdArray]:
    """Read the words of each row's text: runs of letters and digits, in lower case."""
    lists = pc.split_pattern_regex(pa.array(_normalize_text(column), pa.string()), r"[^\p{L}\p{N}]+")
    return _drop_empty(
        pc.list_parent_indices(lists).to_numpy(zero_copy_only=False), _normalize_text(pc.list_flatten(lists))
    )


def _features_of_values(rows: IntArray, labels: IdArray, n_rows: int) -> Features:
    names, codes = np.unique(labels, return_inverse=True)
    matrix = sparse.csr_array((np.ones(len(rows), np.float32), (rows, codes)), shape=(n_rows, len(names)))
    common = np.flatnonzero(np.bincount(matrix.indices, minlength=len(names)) >= MIN_ROWS_PER_VALUE)
    matrix = sparse.csr_array(matrix[:, common])
    shares = np.diff(matrix.indptr)
    matrix.data[:] = 1 / np.repeat(shares, shares)
    return Features(matrix, tuple(names[common].tolist()))


def _read_columns(
    table: pa.Table, columns: Mapping[str, tuple[str, ColumnReader]]
) -> Iterator[tuple[IntArray, IdArray]]:
    for column, (name, read) in columns.items():
        if column in table.column_names and table[column].null_count < len(table):
            rows, values = read(table[column])
            yield rows, f"{name}=" + values


def text_values(column: pa.ChunkedArray) -> tuple[IntArray, IdArray]:
    """Read one text per row."""
    return _drop_empty(np.arange(len(column), dtype=np.int32), _normalize_text(column))


def language_values(column: pa.ChunkedArray) -> tuple[IntArray, IdArray]:
    """Read the primary language subtag per row."""
    return _drop_empty(np.arange(len(column), dtype=np.int32), primary_language(column))


def list_values(column: pa.ChunkedArray) -> tuple[IntArray, IdArray]:
    """Read the texts of each row's list."""
    lists = column.combine_chunks()
    return _drop_empty(
        pc.list_parent_indices(lists).to_numpy(zero_copy_only=False), _normalize_text(pc.list_flatten(lists))
    )


def period_values(column: pa.ChunkedArray) -> tuple[IntArray, IdArray]:
    """Read the publication period per row, named by its first year."""
    year = pc.year(column.cast(pa.timestamp("us")))
    start = pc.multiply(pc.divide(year, YEARS_A_PERIOD), YEARS_A_PERIOD)
    return _drop_empty(np.arange(len(column), dtype=np.int32), _normalize_text(start))


def primary_language(column: pa.ChunkedArray) -> IdArray:
    """Return the primary subtag: `en` for `en`, `EN`, `en-GB` and `en_US`; empty if unknown."""
    return _normalize_text(pc.replace_substring_regex(column.cast(pa.string()), "[-_].*$", ""))


def _normalize_text(values: pa.Array | pa.ChunkedArray) -> IdArray:
    text = pc.utf8_lower(pc.utf8_trim_whitespace(values.cast(pa.string())))
    return np.asarray(text.fill_null(""), dtype=object)


def _drop_empty(rows: IntArray, values: IdArray) -> tuple[IntArray, IdArray]:
    known = values != ""
    return rows[known].astype(np.int32), values[known]
