"""Roles of the published models: which one is live.

Belongs here: the rows of `published.model_roles`. Does not: promotion (registry/promotion.py), which models are published
(publication.py).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from recsys_platform.recommender.registry.promotion import AUTOMATIC, GATE
from recsys_platform.recommender.registry.versions import CHALLENGER, PRODUCTION, Change, Registry

MODEL_ROLES = pa.schema(
    [
        ("model", pa.string()),
        ("model_version", pa.string()),
        ("role", pa.string()),
        ("is_live", pa.bool_()),
        ("chosen_by", pa.string()),
        ("chosen_at", pa.timestamp("us")),
        ("why", pa.string()),
        ("generated_at", pa.timestamp("us")),
    ]
)
BASELINE_ROLE = "baseline"


@dataclass(frozen=True)
class Role:
    """The role of a published model: `production` (live), `challenger` or `baseline`; chosen by `gate`, `canary` or `person`."""

    model: str
    model_version: str
    role: str
    chosen_by: str
    chosen_at: dt.datetime | None
    why: str


def model_roles(registry: Registry, versions: Mapping[str, str]) -> list[Role]:
    """Return the role of each published model; `versions`: name of the lists → version."""
    history = registry.history()
    return [_role_of_version(registry, name, version, history) for name, version in versions.items()]


def roles_table(roles: Sequence[Role], now: dt.datetime) -> pa.Table:
    """Return the roles as a table; the baseline is live if nothing is in production."""
    live = PRODUCTION if any(each.role == PRODUCTION for each in roles) else BASELINE_ROLE
    rows = [{**vars(each), "is_live": each.role == live, "generated_at": now} for each in roles]
    return pa.Table.from_pylist(rows, schema=MODEL_ROLES)


def _role_of_version(registry: Registry, name: str, version: str, history: Sequence[Change]) -> Role:
    listed = registry.info(version)
    alias = next((alias for alias in (PRODUCTION, CHALLENGER) if alias in listed.aliases), None)
    if alias is None:
        return Role(name, listed.label, BASELINE_ROLE, GATE, None, "The fallback for readers without history.")
    choice = registry.choice() if alias == PRODUCTION else None
    if choice and choice.recipe_hash == listed.recipe_hash:
        return Role(name, listed.label, alias, "person", choice.at, choice.why)
    last = next((change for change in history if change.alias == alias and change.after == version), None)
    who = last.who if last else GATE
    chosen_by = who if who in AUTOMATIC else "person"
    return Role(name, listed.label, alias, chosen_by, last.at if last else None, last.why if last else "")
