"""Names of data sets in lineage: those that other tools give them too, so that their graphs join ours.

The conventions: https://openlineage.io/docs/spec/naming
"""

from dataclasses import dataclass

from recsys_platform.config.settings import Settings

IN_WAREHOUSE = ("raw", "staging", "intermediate", "marts", "published")
"""First parts of the keys of assets that are tables: the schema."""
IN_HUB = ("landing", "curated")


@dataclass(frozen=True)
class DatasetName:
    """A data set: where it is, and its name there."""

    namespace: str
    name: str


def dataset_of(asset: str, settings: Settings) -> DatasetName:
    """The data set of an asset such as `marts/dim_books`; what is neither a table nor in the hub is named by the deployment."""
    layer, _, rest = asset.partition("/")
    if layer in IN_WAREHOUSE:
        return _table(f"{layer}.{rest.replace('/', '.')}", settings)
    if layer in IN_HUB:
        return _folder(rest if layer == "landing" else asset, settings)
    return DatasetName(settings.deployment, asset)


def _table(name: str, settings: Settings) -> DatasetName:
    if settings.env == "local":
        return DatasetName(f"duckdb://{settings.warehouse_path}", name)
    return DatasetName(f"snowflake://{settings.snowflake_account}", f"{settings.snowflake_database}.{name}")


def _folder(key: str, settings: Settings) -> DatasetName:
    if settings.hub is None:
        return DatasetName("file", f"{settings.hub_place}/{key}")
    bucket, _, prefix = settings.hub.removeprefix("s3://").partition("/")
    return DatasetName(f"s3://{bucket}", "/".join(filter(None, (prefix.strip("/"), key))))
