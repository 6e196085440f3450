"""`recsys salt`: whether the salt of hashes is the right one, and replacing it on purpose."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from recsys_platform.cli.console import OUT
from recsys_platform.cli.worlds import open_world, prepared_warehouse
from recsys_platform.common.errors import InputError, SaltError
from recsys_platform.config.settings import Settings

salt = typer.Typer(help="The secret salt of hashes: check it and its backup, replace it.", no_args_is_help=True)
COSTS = (
    "Every hash of an e-mail or IP address changes: histories of readers and curated days keep the old ones for ever, ids that are"
    " addresses lose their past, and `recsys run --all` has to rebuild everything else."
)


@salt.command()
def check(
    backup: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File with a backup of the salt; `-` reads standard input.")
    ] = None,
) -> None:
    """Check that the setting, and a backup, are the salt that the warehouse hashes with; none is shown but by its fingerprint."""
    from recsys_platform.warehouse.salt import fingerprint

    settings = open_world()
    kept = prepared_warehouse(settings).salt_fingerprint()
    if kept is None:
        raise InputError("The warehouse has no salt yet: `recsys run` puts it there.")
    given = {"RECSYS_PII_SALT": settings.plain_salt, "the backup": _read_backup(backup) if backup else None}
    found = {name: fingerprint(text) for name, text in given.items() if text is not None}
    for name, print_of in found.items():
        if print_of != kept:
            raise SaltError(
                f"{name[0].upper()}{name[1:]} has the fingerprint {print_of}, but the warehouse hashes with the salt {kept}."
            )
    OUT.print(f"The warehouse hashes with the salt {kept}; {_agreement(list(found))}.", soft_wrap=True)


@salt.command("fingerprint")
def print_fingerprint(
    backup: Annotated[Path, typer.Argument(metavar="FILE", help="File with a salt; `-` reads standard input.")],
) -> None:
    """Print the fingerprint of a salt, to compare it with what `recsys salt check` says elsewhere; needs no world."""
    from recsys_platform.warehouse.salt import fingerprint

    OUT.print(fingerprint(_read_backup(backup)))


@salt.command()
def replace(
    yes: Annotated[
        bool, typer.Option("--yes", help="Replace it; without this the command only says what it costs.")
    ] = False,
) -> None:
    """Replace the salt of the warehouse by RECSYS_PII_SALT, on purpose; every hash changes."""
    settings = open_world()
    new = _salt_setting(settings)
    warehouse = prepared_warehouse(settings)
    if not yes:
        OUT.print(f"{COSTS} Add --yes to replace it.", soft_wrap=True)
        return
    replaced = warehouse.ensure_salt(new, replace=True)
    OUT.print(
        "The salt is replaced: now `recsys run --all`." if replaced else "It is the salt already.", soft_wrap=True
    )


def _agreement(names: list[str]) -> str:
    """`a agrees`, `a and b agree`, or that nothing was compared with it."""
    return f"{' and '.join(names)} {'agrees' if len(names) == 1 else 'agree'}" if names else "no setting names one"


def _salt_setting(settings: Settings) -> str:
    if settings.plain_salt is None:
        raise InputError(
            "RECSYS_PII_SALT is not set: set it to the new salt, such as the output of `openssl rand -hex 32`."
        )
    return settings.plain_salt


def _read_backup(path: Path) -> str:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    if not text.strip():
        raise InputError(f"{path} is empty: it is no backup of the salt.")
    return text.strip()
