"""Whether a framed record is accepted: the first gate, decided here for loads, corrections and revalidation on every engine.

The decision is SQL over many records in a DuckDB in memory, whose JSON reader has the last word on what is JSON: it takes some more
than the letter of it (NaN, a comma before a closing brace), in whichever way a record came.
"""

from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys_platform.hub.layout import Source
from recsys_platform.ingestion.envelope import ENVELOPE, NOT_AN_OBJECT
from recsys_platform.ingestion.framing import DAMAGE
from recsys_platform.warehouse.port import UNREADABLE

Numbers = np.ndarray[Any, np.dtype[np.int64]]

# Bytes of the shortest record that any envelope accepts: {"idsite":1,"cdt":1,"uid":1}. To look into text that is not JSON costs
# an exception a row, ten times what a record costs: a shorter text is a suspect without that, and suspects are looked at in full.
SHORTEST = 28


def rejection_reasons(
    con: duckdb.DuckDBPyConnection, source: str, payloads: pa.Array | pa.ChunkedArray, framing: pa.Array
) -> pa.Array:
    """Why each text is rejected as a record of a source, null where it is accepted.

    `framing`: the reason that framing gave each of them, or null; it holds for what is not JSON.
    """
    con.register("pieces", pa.table({"n": np.arange(len(payloads)), "payload": payloads, "framing": framing}))
    found = con.sql(
        _REASONS.format(
            fields=fields_of_piece(source, "payload", "framing"),
            reason=reason_of_piece(source, "payload", "framing", "fields"),
        )
    ).to_arrow_table()
    con.unregister("pieces")
    return found["reason"].combine_chunks().take(pc.sort_indices(found["n"]))


def find_suspects(con: duckdb.DuckDBPyConnection, source: str, payloads: pa.ChunkedArray) -> tuple[Numbers, Numbers]:
    """The places of texts that may have to be rejected, and of those among them that are not JSON, in order.

    Few texts lack something at the first place where it may stand: only those are looked at in full.
    """
    con.register("guesses", pa.table({"n": np.arange(len(payloads)), "payload": payloads}))
    found = con.sql(_SUSPECTS.format(needed=needed_fields(source, "payload"))).to_arrow_table()
    con.unregister("guesses")
    return found["n"].to_numpy(), found.filter(pc.field("broken"))["n"].to_numpy()


_SUSPECTS = "select n, not json_valid(payload) as broken from guesses where {needed} order by n"
# The fields are read once: `fields[i]` over a mere subquery would read the record again for each i.
_REASONS = """
    with looked_at as materialized (select *, {fields} as fields from pieces)
    select n, {reason} as reason from looked_at"""


def envelope_paths(source: str) -> list[str]:
    """The JSON paths that the envelope of a source looks at, in the order that `reason_of_object` expects them."""
    return [path for need in ENVELOPE[_checked_source(source)] for path in need.paths]


def needed_fields(source: str, json: str) -> str:
    """SQL for whether a text may have to be rejected: it is not JSON, or what is needed is not in the first place to look."""
    firsts = [need.paths[0] for need in ENVELOPE[_checked_source(source)]]
    found = f"try(json_extract_string({json}, {firsts!r}))"
    lacks_one = f"coalesce(len(list_filter({found}, lambda v: coalesce(v, '') = '')), 1) > 0"
    return f"case when strlen({json}) < {SHORTEST} then true else {lacks_one} end"


def reason_of_object(source: str, json: str, fields: str) -> str:
    """SQL for why a valid JSON value is rejected, or null; `fields` is the list of what stands at `envelope_paths`."""
    paths = envelope_paths(source)
    missing = " ".join(
        f"when coalesce({', '.join(_field_text(fields, paths.index(path)) for path in need.paths)}) is null then '{need.reason}'"
        for need in ENVELOPE[_checked_source(source)]
    )
    # Blanks may stand before a record; `json_type` would read all of it again.
    first = f"ltrim({json}, ' ' || chr(9) || chr(10) || chr(13))"
    return f"case when not starts_with({first}, '{{') then '{NOT_AN_OBJECT}' {missing} end"


def fields_of_piece(source: str, payload: str, framing: str) -> str:
    """SQL for what stands at `envelope_paths` in a text; null if it is not JSON or not what was sent."""
    whole = _is_whole(payload, framing)
    return f"case when {whole} then json_extract_string({payload}, {envelope_paths(source)!r}) end"


def reason_of_piece(source: str, payload: str, framing: str, fields: str) -> str:
    """SQL for why a text is rejected, or null; `framing` is the reason that framing gives, which holds if it is not JSON.

    `fields`: the value of `fields_of_piece`.
    """
    decided = reason_of_object(source, payload, fields)
    return f"case when {fields} is null then coalesce({framing}, '{UNREADABLE}') else {decided} end"


def _is_whole(payload: str, framing: str) -> str:
    """Valid JSON that is what was sent: bytes that are not UTF-8 are shown by characters that were never there."""
    damaged = " or ".join(f"starts_with({framing}, '{begin}')" for begin in DAMAGE)
    return f"not coalesce({damaged}, false) and json_valid({payload})"


def _field_text(fields: str, index: int) -> str:
    return f"nullif({fields}[{index + 1}], '')"


def _checked_source(source: str) -> Source:
    if source not in ENVELOPE:
        raise ValueError(f"{source} is not a source")
    return source  # type: ignore[return-value]
