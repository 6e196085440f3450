"""The tutorial, word for word: its commands run one after another in a world of its own.

Whole runs, because that is what the page promises: own files to published lists, then a variant, then a person's decision.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

ROOT = Path(__file__).parents[2]
WORLD = ".recsys/tutorial"


def commands(home: Path) -> str:
    """The blocks of the page as one script, on a world elsewhere; the environment is there already."""
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", page, re.DOTALL))
    assert WORLD in blocks
    return blocks.replace("make setup\n", "").replace(WORLD, str(home))


@pytest.mark.slow
def test_the_tutorial_ends_with_lists_a_variant_and_a_decision(tmp_path: Path) -> None:
    scripts = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands(tmp_path / "world")],
        cwd=ROOT,
        env={**os.environ, **scripts},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "lightfm_wide" in done.stdout
    assert done.stdout.count("rank  book") == 2
    with duckdb.connect(str(tmp_path / "world" / "analytics.duckdb"), read_only=True) as con:
        assert con.execute("select count(distinct user_id) from published.user_recommendations").fetchone() == (900,)
        assert con.execute("select chosen_by from published.model_roles where is_live").fetchone() == ("person",)
