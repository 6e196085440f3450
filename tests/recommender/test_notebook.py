"""The notebook example of the documentation runs on a small world."""

import re
import runpy
from pathlib import Path

import pytest

from recsys_platform.hub.local import FolderHub
from recsys_platform.recommender.data.training_data import write_snapshot
from tests.support.tiny_marts import LAST_DAY, tiny_marts

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
BOOKS = 10


def test_the_notebook_example_fits_evaluates_and_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RECSYS_HOME", str(tmp_path))
    write_snapshot(FolderHub(tmp_path / "hub"), LAST_DAY.date(), tiny_marts(books=BOOKS))
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
