"""What the acts of the loop brought: clicks, finished books, and how the showings spread over the books.

Belongs here: figures from the marts, and the expected CTR from the truth. Does not: the experiment's read-out (experiments/).
"""

import datetime as dt
from dataclasses import dataclass

import numpy as np

from recsys_platform.closed_loop.experiment import SURFACES
from recsys_platform.closed_loop.plan import CANARIES
from recsys_platform.common.sql_files import read_sql
from recsys_platform.recommender.arrays import DoubleArray
from recsys_platform.warehouse.port import Warehouse
from recsys_platform.warehouse.sql import marks

_SHOWN, _FINISHED = (read_sql("recsys_platform.closed_loop", name) for name in ("shown_books", "finished_books"))
TOP_SHARE = 0.1


@dataclass(frozen=True)
class Outcome:
    """One variant on the days of an act, on the surfaces of the experiment.

    `ctr`: books clicked ÷ books shown. `finishes`: a reader and week, from all surfaces; None where readers
    move between the variants, as in a canary. `coverage`: share of all books that were shown. `top_share`: share
    of the showings that the most shown tenth of all books has.
    """

    act: str
    variant: str
    first: dt.date
    last: dt.date
    readers: int
    ctr: float
    finishes: float | None
    coverage: float
    top_share: float


def outcomes_between(warehouse: Warehouse, act: str, first: dt.date, last: dt.date) -> list[Outcome]:
    """The outcomes of the variants that were shown on some days."""
    surfaces, weeks = marks(SURFACES), ((last - first).days + 1) / 7
    shown = warehouse.frame(_SHOWN.format(surfaces=surfaces), [*SURFACES, first, last]).to_pandas()
    finished = warehouse.frame(_FINISHED.format(surfaces=surfaces), [*SURFACES, first, last, first, last]).to_pandas()
    books = warehouse.frame("select count(*) as books from marts.dim_books")["books"][0].as_py()
    found = []
    for row in finished.sort_values("variant").itertuples():
        readers = int(row.shown_to if act in CANARIES else row.readers)
        own = shown[shown["variant"] == row.variant]
        showings = own.groupby("book_id")["showings"].sum().to_numpy(dtype=np.float64)
        found.append(
            Outcome(
                act,
                str(row.variant),
                first,
                last,
                readers=readers,
                ctr=float(own["clicks"].sum() / max(1, own["showings"].sum())),
                finishes=None if act in CANARIES else float(row.finishes) / max(1, readers) / weeks,
                coverage=len(showings) / max(1, books),
                top_share=share_of_top(showings, books),
            )
        )
    return found


def share_of_top(showings: DoubleArray, books: int) -> float:
    """The share of all showings that the most shown tenth of so many books has; books without showings may be left out."""
    top = int(np.ceil(TOP_SHARE * books))
    return float(np.sort(showings)[::-1][:top].sum() / max(1.0, showings.sum()))
