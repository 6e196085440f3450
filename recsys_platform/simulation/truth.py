"""The ground truth of a simulated world: true tastes, and the attributes that the endpoints serve.

Files in one folder: `world.json` (the spec), `readers.parquet` and `books.parquet` (ids, factors, biases),
`user_attributes.parquet` and `book_attributes.parquet` (as served on the last day).

Belongs here: writing and reading these files. The pipeline must never read them.
"""

import dataclasses
import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys_platform.common.errors import InputError
from recsys_platform.simulation.vocabulary import (
    ADJECTIVES,
    CATEGORIES,
    COUNTRIES,
    FORENAMES,
    LANGUAGES,
    NOUNS,
    SURNAMES,
)
from recsys_platform.simulation.world import BASE, DAY_MS, Floats, Ints, Table, World, WorldSpec

Bools = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Side:
    """Readers or books: ids, factors of shape (n, f) and biases of shape (n,)."""

    ids: pa.Array
    factors: Floats
    bias: Floats

    def rows(self, ids: Sequence[str]) -> Ints:
        """The row of each id; raises InputError for an unknown id."""
        found = pc.index_in(pa.array(ids, pa.string()), value_set=self.ids)
        if found.null_count:
            unknown = ids[pc.index(found.is_null(), True).as_py()]
            raise InputError(f"The simulated world does not know {unknown!r}: give ids of the same simulation.")
        return np.asarray(found)


@dataclass(frozen=True)
class Truth:
    """The true tastes of the readers of a world."""

    readers: Side
    books: Side


def affinity(truth: Truth, *, user_ids: Sequence[str], book_ids: Sequence[str]) -> Floats:
    """The probability that each user likes the book at the same index; shape (n,)."""
    users, books = truth.readers.rows(user_ids), truth.books.rows(book_ids)
    match = np.einsum("nf,nf->n", truth.readers.factors[users], truth.books.factors[books])
    odds = match + truth.readers.bias[users] + truth.books.bias[books] + BASE
    return np.asarray(1 / (1 + np.exp(-odds)), dtype=np.float32)


def mean_true_affinity(truth: Truth, *, user_ids: Sequence[str], book_ids: Sequence[str]) -> float:
    """The mean of `affinity` over the pairs of users and recommended books; 0.0 for no pair."""
    return float(affinity(truth, user_ids=user_ids, book_ids=book_ids).mean()) if len(user_ids) else 0.0


def load_truth(truth_dir: Path) -> Truth:
    """The truth that a simulation left in a folder."""
    return Truth(
        readers=_load_side(truth_dir / "readers.parquet", "user_id"),
        books=_load_side(truth_dir / "books.parquet", "book_id"),
    )


def load_spec(truth_dir: Path) -> tuple[WorldSpec, int]:
    """The spec of the world of which a folder holds the truth, and how many days it has been simulated for."""
    try:
        found = json.loads((truth_dir / "world.json").read_text())
    except OSError as error:
        raise InputError(f"No simulated world in {truth_dir}: run a simulation first.") from error
    days = found.pop("days")
    return WorldSpec(**found | {"start": dt.date.fromisoformat(found["start"])}), days


def save_truth(truth_dir: Path, world: World, *, days: int) -> None:
    """Write the truth and the attributes as they are at the end of the last of `days` days."""
    try:
        truth_dir.mkdir(parents=True, exist_ok=True)
        for name, table in _truth_tables(world, days=days).items():
            pq.write_table(table, truth_dir / f"{name}.parquet")
        spec = dataclasses.asdict(world.spec) | {"start": world.spec.start.isoformat(), "days": days}
        (truth_dir / "world.json").write_text(json.dumps(spec, indent=2) + "\n")
    except OSError as error:
        raise InputError(
            f"Cannot write the truth to {truth_dir}: {error.strerror}. Choose a folder that can be written."
        ) from error


def _truth_tables(world: World, *, days: int) -> dict[str, pa.Table]:
    known = np.flatnonzero(world.readers["created_day"] < days)
    published = np.flatnonzero(world.books["published_day"] < days)
    return {
        "readers": _side_table(world.readers[known], user_id=_format_ids("u", known, 7)),
        "books": _side_table(world.books[published], book_id=_format_ids("b", published, 5)),
        "user_attributes": _user_attributes(world, known, last=days - 1),
        "book_attributes": _book_attributes(world, published, last=days - 1),
    }


def _format_ids(letter: str, rows: Ints, width: int) -> list[str]:
    return [f"{letter}{row + 1:0{width}d}" for row in rows.tolist()]


def _side_table(rows: Table, **ids: list[str]) -> pa.Table:
    factors = np.ascontiguousarray(rows["factors"])
    flat = pa.FixedSizeListArray.from_arrays(pa.array(factors.ravel()), factors.shape[1])
    return pa.table({**ids, "factors": flat, "bias": pa.array(np.ascontiguousarray(rows["bias"]))})


def _load_side(path: Path, id_column: str) -> Side:
    try:
        table = pq.read_table(path).combine_chunks()
    except OSError as error:
        raise InputError(f"No truth at {path}: run a simulation first.") from error
    factors = table.column("factors").combine_chunks()
    matrix = factors.flatten().to_numpy().reshape(len(table), factors.type.list_size)
    return Side(ids=table.column(id_column).combine_chunks(), factors=matrix, bias=table.column("bias").to_numpy())


def _user_attributes(world: World, rows: Ints, *, last: int) -> pa.Table:
    readers = world.readers[rows]
    paying = (readers["premium_day"] <= last) & (last < readers["cancel_day"])
    ids = _format_ids("u", rows, 7)
    return pa.table(
        {
            "user_id": ids,
            "created_at": [_iso_timestamp(ms) for ms in readers["created_ms"].tolist()],
            "country": [COUNTRIES[index].code for index in readers["country"].tolist()],
            "language": [LANGUAGES[index] for index in readers["language"].tolist()],
            "tier": ["premium" if each else "free" for each in paying.tolist()],
            "interests": pa.array(
                [_categories_of_mask(each) for each in readers["interests"].tolist()], pa.list_(pa.string())
            ),
            "email": [f"{user_id}@readers.example" for user_id in ids],
        }
    )


def _book_attributes(world: World, rows: Ints, *, last: int) -> pa.Table:
    books = world.books[rows]
    categories = [_categories_of_mask(each) for each in books["categories"].tolist()]
    return pa.table(
        {
            "book_id": _format_ids("b", rows, 5),
            "title": [
                _book_title(number, kinds[0]) for number, kinds in zip(books["title"].tolist(), categories, strict=True)
            ],
            "author": [_author_name(number) for number in books["author"].tolist()],
            "language": [LANGUAGES[index] for index in books["language"].tolist()],
            "categories": pa.array(categories, pa.list_(pa.string())),
            "published_at": [
                _iso_timestamp(world.spec.start_ms + day * DAY_MS) for day in books["published_day"].tolist()
            ],
            "reading_minutes": pa.array(books["chapters"].astype(np.int64) * 3),
            "is_premium": pa.array(books["premium"]),
            "is_available": pa.array(books["gone_day"] > last),
            "description": [f"The key ideas on {' and '.join(kinds)} in a quarter of an hour." for kinds in categories],
        }
    )


def _iso_timestamp(ms: int) -> str:
    return dt.datetime.fromtimestamp(ms / 1_000, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _categories_of_mask(mask: int) -> list[str]:
    return [name for bit, name in enumerate(CATEGORIES) if mask >> bit & 1]


def _book_title(number: int, category: str) -> str:
    number, adjective = divmod(number, len(ADJECTIVES))
    noun = number % len(NOUNS)
    return f"The {ADJECTIVES[adjective]} {NOUNS[noun]} of {category.title()}"


def _author_name(number: int) -> str:
    number, forename = divmod(number, len(FORENAMES))
    rest, surname = divmod(number, len(SURNAMES))
    return f"{FORENAMES[forename]} {SURNAMES[surname]}" + (f" {rest + 1}" if rest else "")
