"""The scripts by which an administrator sets an account up, with the names that the settings give."""

import re
from collections.abc import Mapping
from pathlib import Path

from recsys_platform.common.errors import SettingsError
from recsys_platform.config.settings import Settings

FOLDER = Path(__file__).parents[1] / "warehouse" / "snowflake"
# As the Snowflake CLI writes them: `snow sql -f 01_compute_and_roles.sql -D database=RECSYS …`
_NAME = re.compile(r"<% (\w+) %>")
_PLAIN = re.compile(r"[\w:/.+=@-]+")


def scripts(settings: Settings, given: Mapping[str, str]) -> dict[str, str]:
    """Every script by its name, in order; `SettingsError` names what is missing or would not be one plain word.

    `given`: `hub_role_arn`, `public_key` (base64 without header lines) and `monthly_credits`, which no setting tells.
    """
    values = {
        "hub": (settings.hub or "").rstrip("/"),
        "user": settings.snowflake_user or "",
        "role": settings.snowflake_role,
        "warehouse": settings.snowflake_warehouse,
        "database": settings.snowflake_database,
        "stage": settings.snowflake_stage,
        **given,
    }
    _refuse_own_role(settings)
    return {path.name: _rendered(path, values) for path in sorted(FOLDER.glob("*.sql"))}


def _refuse_own_role(settings: Settings) -> None:
    """The platform's role is granted the roles of the scripts: it cannot be one of them, upper or lower case."""
    taken = [f"{settings.snowflake_database}_{name}".upper() for name in ("loader", "transformer", "reader")]
    if settings.snowflake_role.upper() in taken:
        raise SettingsError(
            f"RECSYS_SNOWFLAKE_ROLE={settings.snowflake_role} is a role that the scripts make for a part: name another."
        )


def write_scripts(folder: Path, texts: Mapping[str, str]) -> list[str]:
    """Write scripts into a folder, made if it is missing; their names."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{folder} cannot be written: {error.strerror}.") from error
    return list(texts)


def body_of(public_key: Path) -> str:
    """A public key in one line without its header and footer, as `alter user` takes it."""
    try:
        lines = public_key.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{public_key} cannot be read as a public key in PEM form: {error}.") from error
    if lines[:1] != ["-----BEGIN PUBLIC KEY-----"]:
        raise SettingsError(f"{public_key} is no public key in PEM form: make one with `openssl rsa -pubout`.")
    return "".join(line for line in lines if not line.startswith("-----"))


def _rendered(path: Path, values: Mapping[str, str]) -> str:
    text = path.read_text(encoding="utf-8")
    for name in _NAME.findall(text):
        if not _PLAIN.fullmatch(values.get(name, "")):
            raise SettingsError(f"{path.name} needs a value for {name}, one word without quotes or blanks.")
    return _NAME.sub(lambda found: values[found[1]], text)
