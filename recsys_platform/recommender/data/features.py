"""Attributes of users and books as sparse features.

Belongs here: how a column becomes features, how missing values and rare values are treated. Does not: which model uses
them; a model that wants a feature per user or book besides (identity) adds it itself.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from recsys_platform.recommender.arrays import Csr, IdArray, IntArray
from recsys_platform.recommender.data.dataset import Features

YEARS_A_PERIOD = 5
"""Wide enough to hold several books, narrow enough to tell what was in fashion."""
RARE = 2
"""A value that fewer rows share says no more than the row's own identity."""

Read = Callable[[pa.ChunkedArray], tuple[IntArray, IdArray]]
"""From a column to (row numbers, values): none, one or several a row."""


def feature_matrix(table: pa.Table, columns: Mapping[str, tuple[str, Read]]) -> Features:
    """One feature a distinct value, named `{name}={value}`, from `columns`: column → (name, how to read it).

    Several values in one column share a weight of 1, so that a book of five categories is not all categories to a model.
    Absent columns, empty columns and null values give no feature. Values that fewer than `RARE` rows have are left out.
    """
    parts = [_features(rows, labels, len(table)) for rows, labels in _found(table, columns)]
    none = sparse.csr_array((len(table), 0), dtype=np.float32)
    matrix = sparse.hstack([none, *(part.matrix for part in parts)], format="csr")
    return Features(sparse.csr_array(matrix), tuple(name for part in parts for name in part.names))


def unit_rows(matrix: Csr) -> Csr:
    """Rows of length 1, so that their products are cosines; a row of nothing stays so."""
    length = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    scale = np.divide(1.0, length, out=np.zeros(len(length)), where=length > 0)
    return sparse.csr_array(sparse.diags_array(scale) @ matrix)


def words(column: pa.ChunkedArray) -> tuple[IntArray, IdArray]:
    """The words of each row's text: letters and digits in a row, lower case."""
    lists = pc.split_pattern_regex(pa.array(_tidy(column), pa.string()), r"[^\p{L}\p{N}]+")
    return _present(pc.list_parent_indices(lists).to_numpy(zero_copy_only=False), _tidy(pc.list_flatten(lists)))


def _features(rows: IntArray, labels: IdArray, n_rows: int) -> Features:
    names, codes = np.unique(labels, return_inverse=True)
    matrix = sparse.csr_array((np.ones(len(rows), np.float32), (rows, codes)), shape=(n_rows, len(names)))
    common = np.flatnonzero(np.bincount(matrix.indices, minlength=len(names)) >= RARE)
    matrix = sparse.csr_array(matrix[:, common])
    shares = np.diff(matrix.indptr)
    matrix.data[:] = 1 / np.repeat(shares, shares)
    return Features(matrix, tuple(names[common].tolist()))


def _found(table: pa.Table, columns: Mapping[str, tuple[str, Read]]) -> Iterator[tuple[IntArray, IdArray]]:
    for column, (name, read) in columns.items():
        if column in table.column_names and table[column].null_count < len(table):
            rows, values = read(table[column])
            yield rows, f"{name}=" + values


def one(column: pa.ChunkedArray) -> tuple[IntArray, IdArray]:
    """The text in each row."""
    return _present(np.arange(len(column), dtype=np.int32), _tidy(column))


def language(column: pa.ChunkedArray) -> tuple[IntArray, IdArray]:
    """The primary language subtag in each row."""
    return _present(np.arange(len(column), dtype=np.int32), primary_language(column))


def several(column: pa.ChunkedArray) -> tuple[IntArray, IdArray]:
    """The texts in each row's list."""
    lists = column.combine_chunks()
    return _present(pc.list_parent_indices(lists).to_numpy(zero_copy_only=False), _tidy(pc.list_flatten(lists)))


def period(column: pa.ChunkedArray) -> tuple[IntArray, IdArray]:
    """The span of years that each row's date falls into, named by its first year."""
    year = pc.year(column.cast(pa.timestamp("us")))
    start = pc.multiply(pc.divide(year, YEARS_A_PERIOD), YEARS_A_PERIOD)
    return _present(np.arange(len(column), dtype=np.int32), _tidy(start))


def primary_language(column: pa.ChunkedArray) -> IdArray:
    """`en` for `en`, `EN`, `en-GB` and `en_US`; empty where unknown."""
    return _tidy(pc.replace_substring_regex(column.cast(pa.string()), "[-_].*$", ""))


def _tidy(values: pa.Array | pa.ChunkedArray) -> IdArray:
    text = pc.utf8_lower(pc.utf8_trim_whitespace(values.cast(pa.string())))
    return np.asarray(text.fill_null(""), dtype=object)


def _present(rows: IntArray, values: IdArray) -> tuple[IntArray, IdArray]:
    known = values != ""
    return rows[known].astype(np.int32), values[known]
