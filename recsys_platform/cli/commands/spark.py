"""`recsys spark`: lists for more users than one machine should rank."""

from typing import Annotated

import typer

from recsys_platform.cli.console import OUT
from recsys_platform.cli.worlds import open_world
from recsys_platform.config.factories import hub_of, list_rules_of, registry_of

spark = typer.Typer(help="Rank all users of a vector model on a Spark cluster.", no_args_is_help=True)
_FOLDER = typer.Argument(metavar="FOLDER", help="A folder, or s3://bucket/prefix.")


@spark.command()
def export(
    version: Annotated[str, typer.Argument(help="A version of lightfm or als listed by `recsys models`.")],
    folder: Annotated[str, _FOLDER],
) -> None:
    """Write a model version as the tables `users` and `books` in FOLDER, with the books that each user may not be shown."""
    from recsys_platform.hub.factory import open_hub
    from recsys_platform.recommender.batch.export import export_tables
    from recsys_platform.recommender.data.training_data import latest_dataset
    from recsys_platform.recommender.training.candidates import load_model

    settings = open_world()
    trained = load_model(version, registry_of(settings))
    done = export_tables(trained, latest_dataset(hub_of(settings)), list_rules_of(settings), open_hub(folder))
    OUT.print(
        f"{done.users:,} users and {done.books:,} books in {folder}; {done.without_vectors:,} users without history are left out.",
        soft_wrap=True,
    )


@spark.command()
def rank(
    folder: Annotated[str, _FOLDER],
    k: Annotated[int, typer.Option("--k", min=1, help="Books of each list.")] = 50,
) -> None:
    """Rank every user of FOLDER/users with Spark and write Parquet files to FOLDER/lists; needs the extra `spark`."""
    from recsys_platform.recommender.batch import spark_job

    places = [word for name in ("users", "books", "lists") for word in (f"--{name}", f"{folder.rstrip('/')}/{name}")]
    spark_job.main([*places, "--k", str(k)])
