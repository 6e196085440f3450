"""The steps of canaries: a table of the warehouse, and a file for those that wait while a run holds the warehouse.

Belongs here: keeping each step once. Does not: making steps (controller.py).
"""

import datetime as dt
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from recsys_platform.common.atomic_write import replace_file
from recsys_platform.common.clock import to_naive_utc
from recsys_platform.common.errors import RecsysError, WarehouseError
from recsys_platform.serving.rollout.record import CanaryRecord
from recsys_platform.serving.rollout.store import locked_file
from recsys_platform.warehouse.port import Warehouse

TABLE = "ops.canary_steps"
_COLUMNS = pa.schema(
    [
        ("step_id", pa.string()),
        ("experiment", pa.string()),
        ("version", pa.string()),
        ("label", pa.string()),
        ("stage", pa.int32()),
        ("percent", pa.int32()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("changed_by", pa.string()),
        ("changed_at", pa.timestamp("us")),
    ]
)
_LOG = logging.getLogger(__name__)
_ALL = f"select {', '.join(_COLUMNS.names)} from {TABLE} order by changed_at, step_id"


@dataclass(frozen=True)
class StepHistory:
    """Keeps the steps of a world. `warehouse`: written while `may_write`; `reading`: answers while it is held, if there is one."""

    folder: Path
    warehouse: Warehouse
    reading: Callable[[], Warehouse] | None = None
    may_write: Callable[[], bool] = lambda: True

    def keep(self, record: CanaryRecord) -> None:
        """Keep the step that led to a record, unless it is kept already; in the warehouse as soon as that is free."""
        if not self.knows(record):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._change_waiting(lambda rows: [*rows, step_row(record)])
            self._newest.write_text(record.step_id, encoding="utf-8")
        self.store_waiting()

    def knows(self, record: CanaryRecord) -> bool:
        """Whether the step that led to a record is kept."""
        if self._newest.exists() and self._newest.read_text(encoding="utf-8", errors="replace") == record.step_id:
            return True
        return bool((self.steps()["step_id"] == record.step_id).any())

    def store_waiting(self) -> None:
        """Put what waits into the warehouse; it goes on waiting while that is held or is not there."""
        rows = self._rows_waiting()
        if not rows or not self.may_write():
            return
        try:
            self.warehouse.prepare()
            self.warehouse.replace_rows(TABLE, _table(rows), key="step_id", values=[row["step_id"] for row in rows])
        except RecsysError:
            return
        self._change_waiting(lambda present: [row for row in present if row not in rows])

    def steps(self) -> pd.DataFrame:
        """All steps, oldest first; those that wait, too."""
        kept = self._kept_steps()
        waiting = _frame(_table(self._rows_waiting()))
        both = pd.concat([each for each in (kept, waiting) if len(each)] or [kept])
        steps: pd.DataFrame = both.drop_duplicates("step_id").sort_values(
            "changed_at", kind="stable", ignore_index=True
        )
        return steps

    def _kept_steps(self) -> pd.DataFrame:
        for warehouse in (lambda: self.warehouse, self.reading):
            try:
                if warehouse is not None:
                    return _frame(warehouse().frame(_ALL))
            except WarehouseError:
                continue
        return _frame(_table([]))

    @property
    def _newest(self) -> Path:
        return self.folder / "newest"

    @property
    def _waiting(self) -> Path:
        return self.folder / "waiting.jsonl"

    def _change_waiting(self, changed: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
        """Replace the file in one step, while no other process does."""
        with locked_file(self.folder / ".waiting.lock"):
            rows = changed(self._rows_waiting())
            replace_file(self._waiting, "".join(json.dumps(_as_json(row)) + "\n" for row in rows))

    def _rows_waiting(self) -> list[dict[str, Any]]:
        if not self._waiting.exists():
            return []
        lines = self._waiting.read_text(encoding="utf-8", errors="replace").splitlines()
        rows = [row for row in map(_parsed_row, filter(None, lines)) if row is not None]
        return list({row["step_id"]: row for row in rows}.values())


def step_row(record: CanaryRecord) -> dict[str, Any]:
    """Return the row of the step that led to a record."""
    return {
        "step_id": record.step_id,
        "experiment": record.experiment,
        "version": record.version,
        "label": record.label,
        "stage": record.stage,
        "percent": record.percent,
        "status": str(record.status),
        "reason": record.news,
        "changed_by": record.who,
        "changed_at": to_naive_utc(record.changed_at),
    }


def _frame(steps: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = steps.select(_COLUMNS.names).to_pandas()
    return frame


def _as_json(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"changed_at": row["changed_at"].isoformat()}


def _parsed_row(line: str) -> dict[str, Any] | None:
    """The row of a line that waits; None, and a warning, if it cannot be read."""
    try:
        row = json.loads(line)
        row = {name: row[name] for name in _COLUMNS.names} | {
            "changed_at": dt.datetime.fromisoformat(row["changed_at"])
        }
        _table([row])
    except (ValueError, TypeError, KeyError, pa.ArrowException):
        _LOG.warning("A step of the canary is left out, since its line cannot be read: %s", line)
        return None
    return row


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=_COLUMNS)
