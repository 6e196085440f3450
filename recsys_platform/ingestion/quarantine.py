"""List, export and correct rejected records of both gates, and mirror those of the load gate in the hub.

Belongs here: reading both gates, landing corrected payloads, `rejected/` in the hub. Does not: the decision (validation.py).

The mirror of a landing object holds its outstanding rejected records, a JSON line each, and no line once none is left. It is emptied
to zero bytes before the rows change, and written after the commit: a mirror that is missing or has zero bytes is out of date.
"""

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Literal

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from isal import isal_zlib

from recsys_platform.common.errors import InputError
from recsys_platform.hub.landing_writer import GZIP, ObjectRange, write_landing
from recsys_platform.hub.layout import Source, arrival_of, source_of
from recsys_platform.hub.object_store import Hub
from recsys_platform.ingestion.loading import load_events
from recsys_platform.ingestion.revalidation import rejected_states, rejection_reasons_of, revalidate
from recsys_platform.warehouse.port import RecordId, UpdateReport, Warehouse
from recsys_platform.warehouse.sql import begins_with_any, marks

Gate = Literal["load", "contract"]
_LOAD = """
    select 'load' as gate, source, reason, object_key, record_index, landed_at
    from raw.rejected_records where corrected_by is null"""
_CONTRACT = """
    select 'contract' as gate, source, invalid_reason as reason, object_key, record_index, landed_at
    from marts.rpt_invalid_events"""
_PAYLOADS = """
    select g.*, coalesce(r.payload, cast(e.record as varchar)) as payload
    from ({gates}) as g
    left join raw.rejected_records as r on g.gate = 'load' and r.object_key = g.object_key and r.record_index = g.record_index
    left join raw.engagement_events as e
        on g.gate = 'contract' and e.object_key = g.object_key and e.record_index = g.record_index"""
_MIRRORS = "rejected/"
_MIRROR_LINES = """
    select concat('{"record_index": ', record_index, ', "reason": ', to_json(reason)::varchar,
        ', "payload": ', to_json(payload)::varchar, '}', chr(10)) as line
    from rows"""
_BATCH = 500


@dataclass(frozen=True)
class Group:
    """Records of one gate and source with one reason; `example` names one of them."""

    gate: Gate
    source: str
    reason: str
    records: int
    example: str


@dataclass(frozen=True)
class RevalidationReport:
    """What revalidation did: records `moved` to the accepted ones, `renamed` to another reason, `kept` as they were."""

    moved: int = 0
    renamed: int = 0
    kept: int = 0


@dataclass(frozen=True)
class Corrected:
    """What a file of corrections did; `refused` are sentences about lines whose payload would be rejected again."""

    corrected: int
    unchanged: int
    done_before: int
    refused: tuple[str, ...]


def groups(warehouse: Warehouse, *, gate: Gate | None = None, reason: str | None = None) -> list[Group]:
    """Outstanding records by gate, source and reason, most of them first."""
    gates, values = _records_of_gates(warehouse, gate, reason)
    found = warehouse.frame(
        f"select gate, source, reason, count(*) as records, min(object_key || ' #' || record_index) as example"
        f" from ({gates}) group by all order by gate desc, records desc, source, reason",
        values,
    )
    return [Group(**row) for row in found.to_pylist()]


def listing(
    warehouse: Warehouse, *, gate: Gate | None = None, reason: str | None = None, limit: int
) -> list[dict[str, Any]]:
    """Outstanding records, newest arrivals first, without their payloads: those may hold personal data."""
    gates, values = _records_of_gates(warehouse, gate, reason)
    sql = f"select * from ({gates}) order by landed_at desc, gate desc, object_key, record_index limit ?"
    rows: list[dict[str, Any]] = warehouse.frame(sql, [*values, limit]).to_pylist()
    return rows


def export(warehouse: Warehouse, path: Path, *, gate: Gate | None = None, reason: str | None = None) -> int:
    """Write outstanding records with their payloads into a new file that only its owner can read; how many."""
    gates, values = _records_of_gates(warehouse, gate, reason)
    sql = f"{_PAYLOADS.format(gates=gates)} order by g.gate desc, g.object_key, g.record_index"
    lines = warehouse.frame(sql, values).drop_columns(["landed_at"]).to_pylist()
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise InputError(f"{path} is there already and may hold corrections: name a new file.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error
    with os.fdopen(file, "w", encoding="utf-8") as out:
        out.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    return len(lines)


def revalidate_rejected(hub: Hub, warehouse: Warehouse, *, reason: str | None = None) -> RevalidationReport:
    """Validate rejected records again by the present rules; what they accept now moves to the accepted records, once."""
    found = revalidate(warehouse, reason=reason)
    touched = sorted(set(found.changed["object_key"].to_pylist()))
    _empty_mirrors(hub, touched)
    done = _update_rejected(warehouse, found.changed)
    mirror_rejected(hub, warehouse, *_folders_of(touched))
    return RevalidationReport(done.moved, done.renamed, kept=found.looked_at - done.moved - done.renamed)


def correct(hub: Hub, warehouse: Warehouse, path: Path) -> Corrected:
    """Land the corrected payloads of an exported file as new objects, load them, and mark what they correct.

    The objects are named by what they correct: a file again changes nothing, and finishes what was begun.
    """
    lines = _read_corrections(path)
    rows = _rejected_rows(warehouse, [line.record for line in lines])
    wanted = [line for line in lines if _is_wanted(warehouse, path, line, rows.get(line.record))]
    refused = _refused_lines(warehouse, wanted)
    good = [line for line in wanted if line.number not in refused]
    _land_corrections(hub, warehouse, good, {line.record: rows[line.record]["reason"] for line in good})
    done_before = sum(1 for line in lines if (row := rows.get(line.record)) is None or row["corrected_by"])
    return Corrected(
        corrected=len(good),
        unchanged=len(lines) - len(wanted) - done_before,
        done_before=done_before,
        refused=tuple(f"line {number}: still rejected, {why}" for number, why in refused.items()),
    )


def mirror_key(key: str) -> str:
    """Where the rejected records of a landing object are mirrored in the hub."""
    return f"{_MIRRORS}{key}.jsonl.gz"


def mirror_rejected(hub: Hub, warehouse: Warehouse, *prefixes: str) -> int:
    """Write the mirrors that are out of date for landing objects under prefixes that end with `/`; how many were written."""
    sizes = {item.key: item.size_bytes for prefix in prefixes for item in hub.objects(_MIRRORS + prefix)}
    below = begins_with_any("object_key", prefixes)
    sql = f"select distinct object_key from raw.rejected_records where corrected_by is null and {below}"
    rejected = {mirror_key(key): key for key in warehouse.frame(sql, prefixes)["object_key"].to_pylist()}
    missing = sorted(key for mirror, key in rejected.items() if not sizes.get(mirror))
    for start in range(0, len(missing), _BATCH):
        for key, lines in _rejected_lines(warehouse, missing[start : start + _BATCH]).items():
            hub.put(mirror_key(key), _gzip_lines(lines))
    nothing = _gzip_lines(b"")
    cleared = [mirror for mirror, size in sizes.items() if mirror not in rejected and size != len(nothing)]
    for mirror in cleared:
        hub.put(mirror, nothing)
    return len(missing) + len(cleared)


@dataclass(frozen=True)
class _Line:
    """One line of a file of corrections."""

    number: int
    record: RecordId
    payload: str


def _records_of_gates(warehouse: Warehouse, gate: Gate | None, reason: str | None) -> tuple[str, list[str]]:
    """SQL for the records of one gate or both, the second if it was built, whose reason contains a text; its parameters."""
    sql = "select 1 from information_schema.tables where lower(table_schema) = 'marts' and lower(table_name) = 'rpt_invalid_events'"
    both: dict[Gate, str] = {"load": _LOAD}
    if warehouse.frame(sql).num_rows:
        both["contract"] = _CONTRACT
    chosen = [select for name, select in both.items() if gate in (None, name)] or [f"{_LOAD} and false"]
    return f"select * from ({' union all '.join(chosen)}) where contains(lower(reason), lower(?))", [reason or ""]


def _read_corrections(path: Path) -> list[_Line]:
    try:
        texts = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as UTF-8 text: {error}.") from error
    lines = [_parse_correction(path, number, text) for number, text in enumerate(texts, 1) if text.strip()]
    if len({line.record for line in lines}) < len(lines):
        raise InputError(f"{path} names a record twice: leave one line for each record.")
    return lines


def _parse_correction(path: Path, number: int, text: str) -> _Line:
    """A line as exported; the payload may also be written as the JSON object itself."""
    where = f"Line {number} of {path}"
    try:
        line = json.loads(text)
        record, payload = (str(line["object_key"]), int(line["record_index"])), line["payload"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{where} is not a line of `recsys rejected --export`: object_key, record_index, payload."
        ) from error
    if line.get("gate") == "contract":
        raise InputError(
            f"{where} is of the contract gate: its record is loaded, so fix the rule or map its event, or deliver a new event."
        )
    return _Line(number, record, payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False))


def _rejected_rows(warehouse: Warehouse, records: Sequence[RecordId]) -> dict[RecordId, dict[str, Any]]:
    keys, wanted = sorted({key for key, _ in records}), set(records)
    sql = f"""select object_key, record_index, payload, reason, corrected_by from raw.rejected_records
        where object_key in ({marks(keys)})"""
    rows = {(row["object_key"], row["record_index"]): row for row in warehouse.frame(sql, keys).to_pylist()}
    return {record: row for record, row in rows.items() if record in wanted}


def _is_wanted(warehouse: Warehouse, path: Path, line: _Line, row: Mapping[str, Any] | None) -> bool:
    """Whether a line changes an outstanding record; `InputError` if it is about no record that was ever loaded."""
    if row is not None:
        return row["corrected_by"] is None and row["payload"] != line.payload
    sql = "select 1 from raw.engagement_events where object_key = ? and record_index = ? limit 1"
    if not warehouse.frame(sql, list(line.record)).num_rows:
        raise InputError(
            f"Line {line.number} of {path}: there is no record {line.record[1]} of {line.record[0]}; export the file again."
        )
    return False


def _refused_lines(warehouse: Warehouse, lines: Sequence[_Line]) -> dict[int, str]:
    """Line number → why its payload would be rejected again."""
    by_source: dict[str, list[_Line]] = defaultdict(list)
    for line in lines:
        by_source[source_of(line.record[0])].append(line)
    return {
        line.number: why
        for source, some in by_source.items()
        for line, why in zip(some, rejection_reasons_of(source, [each.payload for each in some]), strict=True)
        if why is not None
    }


def _land_corrections(hub: Hub, warehouse: Warehouse, lines: Sequence[_Line], reasons: Mapping[RecordId, str]) -> None:
    """One new object for each record that is corrected: same source, same hour of arrival."""
    if not lines:
        return
    touched = sorted({line.record[0] for line in lines})
    there = [item.key for folder in _folders_of(touched) for item in hub.objects(folder)]
    new_keys = {line.record: _put_correction(hub, line, there) for line in lines}
    landed = set(new_keys.values())
    load_events(hub, warehouse, [o for folder in _folders_of(landed) for o in hub.objects(folder) if o.key in landed])
    _empty_mirrors(hub, touched)
    rows = [(key, index, reasons[key, index], new) for (key, index), new in new_keys.items()]
    _update_rejected(warehouse, rejected_states(rows))
    mirror_rejected(hub, warehouse, *_folders_of(touched))


def _update_rejected(warehouse: Warehouse, states: pa.Table) -> UpdateReport:
    if not len(states):
        return UpdateReport()
    with warehouse.raw_writer() as writer:
        return writer.update_rejected(states)


def _put_correction(hub: Hub, line: _Line, there: Sequence[str]) -> str:
    """The key of the object that corrects a record: the one that landed before a crash, if there is one."""
    key, index = line.record
    stream = f"corrected-{hashlib.sha256(f'{key} {index}'.encode()).hexdigest()[:16]}"
    landed = [each for each in there if each.startswith(f"{key.rpartition('/')[0]}/{stream}-")]
    if landed:
        return landed[0]
    source: Source = source_of(key)  # type: ignore[assignment]
    cut = ObjectRange(arrival=arrival_of(key), start=0, stop=1)
    return write_landing(hub, pa.array([line.payload]), source=source, ranges=[cut], stream=stream)[0].key


def _empty_mirrors(hub: Hub, keys: Iterable[str]) -> None:
    for key in keys:
        hub.put(mirror_key(key), b"")


def _rejected_lines(warehouse: Warehouse, keys: Sequence[str]) -> dict[str, pa.Buffer]:
    """The outstanding records of landing objects as the lines of their mirrors, in order."""
    sql = f"""select object_key, record_index, reason, payload from raw.rejected_records
        where object_key in ({marks(keys)}) and corrected_by is null order by object_key, record_index"""
    rows = warehouse.frame(sql, keys)
    found = pc.value_counts(rows["object_key"])  # in the order of the rows
    _, begins, text = _mirror_lines(rows).buffers()
    ends = [0, *accumulate(found.field("counts").to_pylist())]
    places = pairwise(np.frombuffer(begins, np.int64)[ends].tolist())
    return {key: text.slice(a, b - a) for key, (a, b) in zip(found.field("values").to_pylist(), places, strict=True)}


def _mirror_lines(rows: pa.Table) -> pa.Array:
    """Rows as lines, one large string each; DuckDB writes them, whichever warehouse they are of: an object of junk has millions."""
    with duckdb.connect() as con:
        con.execute("set arrow_large_buffer_size = true")
        con.register("rows", rows)
        return con.sql(_MIRROR_LINES).to_arrow_table()["line"].combine_chunks()


def _gzip_lines(lines: pa.Buffer | bytes) -> bytes:
    """Lines, gzip; equal lines give equal bytes."""
    return isal_zlib.compress(lines, 1, GZIP)


def _folders_of(keys: Iterable[str]) -> Iterator[str]:
    """The folders that objects lie in, each once, with their final slash."""
    yield from sorted({key.rpartition("/")[0] + "/" for key in keys})
