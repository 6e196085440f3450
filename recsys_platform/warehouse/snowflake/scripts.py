"""The scripts by which an administrator sets an account up, with the names that the settings give."""

import re
from collections.abc import Mapping
from pathlib import Path

from recsys_platform.errors import SettingsError
from recsys_platform.settings import Settings

FOLDER = Path(__file__).parent
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
    return {path.name: _rendered(path, values) for path in sorted(FOLDER.glob("*.sql"))}


def _rendered(path: Path, values: Mapping[str, str]) -> str:
    text = path.read_text(encoding="utf-8")
    for name in _NAME.findall(text):
        if not _PLAIN.fullmatch(values.get(name, "")):
            raise SettingsError(f"{path.name} needs a value for {name}, one word without quotes or blanks.")
    return _NAME.sub(lambda found: values[found[1]], text)
