"""The Spark job that writes the lists of all users: `spark-submit` it on EMR or Glue, or `recsys spark rank` on this machine.

Belongs here: arguments, reading and writing Parquet, the report to Dagster. Does not: the ranking (spark.py).

    python -m recsys_platform.recommender.batch.spark_job --users PLACE --books PLACE --lists PLACE --k 50

A place is a folder or a URI that Spark reads, such as `s3://bucket/prefix/users`. Started through Dagster Pipes (by arguments on Glue,
by environment elsewhere), the job reports how many rows it wrote.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from recsys_platform.common.errors import RecsysError
from recsys_platform.recommender.batch.spark import BOOKS, rank_with_spark
from recsys_platform.recommender.errors import DataError

if TYPE_CHECKING:
    from dagster_pipes import PipesParamsLoader

Report = Callable[[dict[str, int]], None]


def main(arguments: Sequence[str] | None = None) -> None:
    """Rank, write and report; lists of an earlier run in the same place are replaced."""
    try:
        from pyspark.sql import SparkSession
    except ModuleNotFoundError as error:
        raise RecsysError("pyspark is not installed: install the extra `spark` (`recsys-platform[spark]`).") from error
    # Glue adds arguments of its own.
    given, _ = _argument_parser().parse_known_args(arguments)
    with reporting() as report:
        report(write_lists(SparkSession.builder.appName("recsys lists").getOrCreate(), given))


def write_lists(spark: Any, given: argparse.Namespace) -> dict[str, int]:
    """Read users and books and write their lists as Parquet; returns counts. Raises DataError if there are no users."""
    users = spark.read.parquet(given.users)
    count = users.count()
    if not count:
        raise DataError(f"There are no users in {given.users}: write them before ranking.")
    # Row by row, as `toArrow` came with Spark 4 and Glue has 3.5.
    books = pa.Table.from_pylist([row.asDict() for row in spark.read.parquet(given.books).collect()], BOOKS)
    rank_with_spark(users, books, k=given.k).write.mode("overwrite").parquet(given.lists)
    return {"users": count, "books": len(books), "rows": spark.read.parquet(given.lists).count()}


@contextmanager
def reporting() -> Iterator[Report]:
    """A function that reports figures: to Dagster, if it started this process, else to standard output."""
    from dagster_pipes import PipesCliArgsParamsLoader, PipesEnvVarParamsLoader

    kinds: list[Callable[[], PipesParamsLoader]] = [PipesCliArgsParamsLoader, PipesEnvVarParamsLoader]
    started_by = next((loader for loader in (kind() for kind in kinds) if loader.is_dagster_pipes_process()), None)
    if started_by is None:
        yield _print_figures
        return
    with _open_pipes(started_by) as context:
        yield lambda figures: context.report_asset_materialization(metadata=figures)


def _open_pipes(params: "PipesParamsLoader") -> Any:
    """Open a Pipes session; context and messages go through S3 if Dagster put them there."""
    from dagster_pipes import (
        PipesDefaultContextLoader,
        PipesDefaultMessageWriter,
        PipesS3ContextLoader,
        PipesS3MessageWriter,
        open_dagster_pipes,
    )

    return open_dagster_pipes(
        params_loader=params,
        context_loader=PipesS3ContextLoader(_s3_client())
        if "bucket" in params.load_context_params()
        else PipesDefaultContextLoader(),
        message_writer=PipesS3MessageWriter(_s3_client())
        if "bucket" in params.load_messages_params()
        else PipesDefaultMessageWriter(),
    )


def _s3_client() -> Any:
    from recsys_platform.common.aws import client

    return client("s3")


def _print_figures(figures: dict[str, int]) -> None:
    print(", ".join(f"{count:,} {what}" for what, count in figures.items()))


def _argument_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="spark_job", description="Write the lists of all users by Spark.")
    for name in ("users", "books", "lists"):
        parser.add_argument(f"--{name}", required=True, help=f"where the Parquet files of the {name} are")
    parser.add_argument("--k", type=int, default=50, help="books a list")
    return parser


if __name__ == "__main__":
    main()
