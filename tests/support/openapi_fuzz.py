"""Random requests by the OpenAPI document of a gateway (schemathesis), valid ones and others."""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx

CONFIG = """
# A record that is not valid has its own verdict in the answer, so the request itself is accepted.
[[operations]]
include-operation-id = "post_events"
checks.negative_data_rejection.enabled = false
"""


@dataclass(frozen=True)
class Outcome:
    """How many requests were made, what schemathesis printed, whether all answers were as the document says, and the statuses."""

    generated: int
    printed: str
    passed: bool
    statuses: list[str]


def ask_at_random(url: str, key: str, folder: Path, *, examples: int, seed: int = 1) -> Outcome:
    """Send random requests. `examples`: of each endpoint at most, besides examples and edge cases."""
    config, report = folder / "schemathesis.toml", folder / "report.json"
    config.write_text(CONFIG)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", config, "run"),
        *(f"{url}/openapi.json", "--header", f"Authorization: Bearer {key}"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", str(examples), "--seed", str(seed)),
        *("--continue-on-failure", "--report", "json", "--report-json-path", report),
    ]
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    [generated] = re.findall(r"([\d,]+) generated", done.stdout) or ["0"]
    metrics = httpx.get(f"{url}/metrics").text
    statuses = re.findall(r'recsys_requests_total\{.*status="(\d+)"\}', metrics)
    return Outcome(int(generated.replace(",", "")), done.stdout, done.returncode == 0, statuses)
