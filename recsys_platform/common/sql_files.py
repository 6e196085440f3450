"""SQL that stands in files of its own, where a linter reads it."""

from importlib.resources import files


def read_sql(package: str, name: str) -> str:
    """The text of `sql/{name}.sql` in a package; braces in it are places for `str.format`."""
    return files(package).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
