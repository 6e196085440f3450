"""Render the SQL scripts that set up a Snowflake account, with names from the settings."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from recsys_platform.common.errors import SettingsError
from recsys_platform.config.settings import Settings

FOLDER = Path(__file__).parents[1] / "warehouse" / "snowflake"
# The syntax of variables in the Snowflake CLI: `snow sql -f 01_compute_and_roles.sql -D database=RECSYS …`
_VARIABLE = re.compile(r"<% (\w+) %>")
_SAFE_VALUE = re.compile(r"[\w:/.+=@-]+")
_NETWORKS = "allowed_networks"


def render_scripts(
    settings: Settings, given: Mapping[str, str], allowed_networks: Sequence[str] = ()
) -> dict[str, str]:
    """SQL by script name, in order. Raises `SettingsError` for a variable that is missing or is not a single plain word.

    `given`: `hub_role_arn`, `public_key` (base64 without header lines) and `monthly_credits`, which are not settings.
    `allowed_networks`: IPv4 networks (CIDR) from which service users may sign in; without them there is no
    script of the network policy.
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
    networks = ", ".join(f"'{_parse_network(each)}'" for each in allowed_networks)
    paths = sorted(path for path in FOLDER.glob("*.sql") if networks or path.name != "07_network.sql")
    return {path.name: _render_script(path, values, networks) for path in paths}


def _parse_network(text: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(text)
    except ValueError as error:
        raise SettingsError(f"{text} is not an IPv4 network: write it as 203.0.113.10/32.") from error


def _refuse_own_role(settings: Settings) -> None:
    """The platform's role is granted the roles that the scripts create, so it cannot be one of them (case-insensitive)."""
    taken = [
        f"{settings.snowflake_database}_{name}".upper()
        for name in ("loader", "transformer", "reader", "analyst", "scientist")
    ]
    if settings.snowflake_role.upper() in taken:
        raise SettingsError(
            f"RECSYS_SNOWFLAKE_ROLE={settings.snowflake_role} is a role that the scripts create themselves: choose another name."
        )


def write_scripts(folder: Path, texts: Mapping[str, str]) -> list[str]:
    """Write scripts into a folder, which is created if needed; returns their names."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{folder} cannot be written: {error.strerror}.") from error
    return list(texts)


def public_key_body(public_key: Path) -> str:
    """The base64 of a PEM public key in one line, without header and footer, as `alter user` expects it."""
    try:
        lines = public_key.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{public_key} cannot be read as a public key in PEM format: {error}.") from error
    if lines[:1] != ["-----BEGIN PUBLIC KEY-----"]:
        raise SettingsError(f"{public_key} is not a public key in PEM form: create one with `openssl rsa -pubout`.")
    return "".join(line for line in lines if not line.startswith("-----"))


def _render_script(path: Path, values: Mapping[str, str], networks: str) -> str:
    text = path.read_text(encoding="utf-8")
    for name in set(_VARIABLE.findall(text)) - {_NETWORKS}:
        if not _SAFE_VALUE.fullmatch(values.get(name, "")):
            raise SettingsError(f"{path.name} needs a value for {name} without quotes or blanks.")
    return _VARIABLE.sub(lambda found: {**values, _NETWORKS: networks}[found[1]], text)
