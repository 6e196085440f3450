"""The Spark job that writes the lists of all users: `spark-submit` it on EMR or Glue, or run it here.

Belongs here: arguments, reading and writing Parquet, the report to Dagster. Does not: the ranking (spark.py).

    python -m recsys_platform.recommender.batch.spark_job --users PLACE --books PLACE --lists PLACE --k 50

Places are folders or addresses that Spark reads, such as `s3://bucket/prefix/users`. Started through Dagster Pipes, the job reports
what it wrote; Pipes tells it by its arguments (Glue) or its environment (EMR, a process here).
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from recsys_platform.recommender.batch.spark import BOOKS, spark_lists
from recsys_platform.recommender.errors import DataError

if TYPE_CHECKING:
    from dagster_pipes import PipesParamsLoader

Report = Callable[[dict[str, int]], None]


def main(arguments: Sequence[str] | None = None) -> None:
    """Rank, write and report; the lists of an earlier run in the same place are replaced."""
    from pyspark.sql import SparkSession

    # Glue gives arguments of its own.
    given, _ = _parser().parse_known_args(arguments)
    with reporting() as report:
        report(write_lists(SparkSession.builder.appName("recsys lists").getOrCreate(), given))


def write_lists(spark: Any, given: argparse.Namespace) -> dict[str, int]:
    """Read users and books, write their lists as Parquet; how many users, books and rows. DataError if there are no users."""
    users = spark.read.parquet(given.users)
    count = users.count()
    if not count:
        raise DataError(f"There are no users in {given.users}: write them before ranking.")
    # Row by row, as `toArrow` came with Spark 4 and Glue has 3.5.
    books = pa.Table.from_pylist([row.asDict() for row in spark.read.parquet(given.books).collect()], BOOKS)
    spark_lists(users, books, k=given.k).write.mode("overwrite").parquet(given.lists)
    return {"users": count, "books": len(books), "rows": spark.read.parquet(given.lists).count()}


@contextmanager
def reporting() -> Iterator[Report]:
    """What takes the figures: Dagster, if it started this process, and the output."""
    from dagster_pipes import PipesCliArgsParamsLoader, PipesEnvVarParamsLoader

    kinds: list[Callable[[], PipesParamsLoader]] = [PipesCliArgsParamsLoader, PipesEnvVarParamsLoader]
    started_by = next((loader for loader in (kind() for kind in kinds) if loader.is_dagster_pipes_process()), None)
    if started_by is None:
        yield _print
        return
    with _pipes(started_by) as context:
        yield lambda figures: context.report_asset_materialization(metadata=figures)


def _pipes(params: "PipesParamsLoader") -> Any:
    """Context and messages go through S3 where Dagster put them there, else by arguments, environment and files."""
    from dagster_pipes import (
        PipesDefaultContextLoader,
        PipesDefaultMessageWriter,
        PipesS3ContextLoader,
        PipesS3MessageWriter,
        open_dagster_pipes,
    )

    return open_dagster_pipes(
        params_loader=params,
        context_loader=PipesS3ContextLoader(_s3())
        if "bucket" in params.load_context_params()
        else PipesDefaultContextLoader(),
        message_writer=PipesS3MessageWriter(_s3())
        if "bucket" in params.load_messages_params()
        else PipesDefaultMessageWriter(),
    )


def _s3() -> Any:
    from recsys_platform.common.aws import client

    return client("s3")


def _print(figures: dict[str, int]) -> None:
    print(", ".join(f"{count:,} {what}" for what, count in figures.items()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="spark_job", description="Write the lists of all users by Spark.")
    for name in ("users", "books", "lists"):
        parser.add_argument(f"--{name}", required=True, help=f"where the Parquet files of the {name} are")
    parser.add_argument("--k", type=int, default=50, help="books a list")
    return parser


if __name__ == "__main__":
    main()
