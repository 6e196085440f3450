"""The notebook example of the documentation runs on a small world."""

import datetime as dt
import re
import runpy
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from recsys_platform.hub.local import FolderHub
from recsys_platform.recommender.data.training_data import write_snapshot

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
READERS, BOOKS = 12, 10
LAST_DAY = dt.datetime(2026, 11, 20)


def marts() -> dict[str, pa.Table]:
    """Every reader likes six of ten books, one each day: even readers the even ones first, odd readers the odd ones."""
    likes = [
        {"user_id": f"u{reader:02}", "book_id": f"b{(reader + 2 * n + n // 5) % BOOKS}", "last_at": day}
        for reader in range(READERS)
        for n, day in enumerate(LAST_DAY - dt.timedelta(days=5 - each) for each in range(6))
    ]
    rows = pd.DataFrame(likes).assign(weight=3.0, is_positive=True, is_finished=True)
    users = pd.DataFrame({"user_id": [f"u{n:02}" for n in range(READERS)], "tier": "free", "language": "en"})
    books = pd.DataFrame(
        {"book_id": [f"b{n}" for n in range(BOOKS)], "language": "en", "is_available": True, "is_premium": False}
    )
    frames = {"fct_interactions": rows, "dim_users": users, "dim_books": books}
    return {name: pa.Table.from_pandas(frame, preserve_index=False) for name, frame in frames.items()}


def test_the_notebook_example_fits_evaluates_and_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RECSYS_HOME", str(tmp_path))
    write_snapshot(FolderHub(tmp_path / "hub"), LAST_DAY.date(), marts())
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "notebook.py").write_text(code, encoding="utf-8")
    names = runpy.run_path(str(tmp_path / "notebook.py"))
    printed = capsys.readouterr().out
    assert names["result"].models == ("popularity", "mine")
    assert "12 readers with history liked next" in printed
    assert "NDCG@10: " in printed
    listed = {str(names["data"].book_ids[book]) for book in names["ranked"].books[0] if book >= 0}
    assert listed
    assert listed.isdisjoint({f"b{(2 * n + n // 5) % BOOKS}" for n in range(6)})
