"""What processes were seen to do on the server that stands for AWS, over a session of tests and all of its workers."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.rights import RECORD, recorded
from tests.support.aws_rights import RECORD_VARIABLE

Seen = dict[str, set[str]]
SEEN: Seen = {}
"""By process, the actions and resources of the statements that allowed them."""
REFUSED_ON_PURPOSE: set[str] = set()
"""What a test tried although no role may do it: `process: action on resource`."""


@contextmanager
def recorded_calls() -> Iterator[None]:
    """Note what the servers of the block are asked in the name of roles; fails at the end if something was refused."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        file = Path(folder, "calls.jsonl")
        patch.setenv(RECORD_VARIABLE, str(file))
        yield
        lines = [json.loads(line) for line in set(file.read_text().splitlines())] if file.exists() else []
    refused = sorted(f"{process}: {right}" for process, pair, right in lines if pair is None)
    refused = [each for each in refused if each not in REFUSED_ON_PURPOSE]
    for process, pair, _ in lines:
        SEEN.setdefault(process, set()).update([pair] if pair else [])
    if refused:
        pytest.fail("Processes did what infra/permissions.py does not allow:\n" + "\n".join(refused))


def as_lists(seen: Seen) -> dict[str, list[str]]:
    """Calls as they are kept in a file or sent from a worker."""
    return {process: sorted(pairs) for process, pairs in sorted(seen.items()) if pairs}


def add(calls: dict[str, list[str]]) -> None:
    """Add calls that were seen elsewhere."""
    for process, pairs in calls.items():
        SEEN.setdefault(process, set()).update(pairs)


def write_record(*, is_whole: bool) -> None:
    """Keep what was seen; a session of some of the tests adds to what others saw."""
    if not is_whole:
        add(recorded())
    RECORD.write_text(json.dumps(as_lists(SEEN), indent=2) + "\n")


def differences(*, is_whole: bool) -> list[str]:
    """What was seen and is not recorded; after all tests also what is recorded and was not seen."""
    before, seen = ({(name, pair) for name, pairs in calls.items() for pair in pairs} for calls in (recorded(), SEEN))
    new = [f"not in {RECORD.name}: {name} {pair}" for name, pair in sorted(seen - before)]
    gone = [f"in {RECORD.name}, but not seen: {name} {pair}" for name, pair in sorted(before - seen)]
    return [*new, *gone] if is_whole else new
