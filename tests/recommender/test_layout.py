"""The folders of the recommender follow the data: what comes later knows what came before, never the other way round."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

import recsys_platform.recommender as package

FLOW = ["data", "models", "ranking", "evaluation", "registry", "training", "lists"]
HERE = Path(package.__file__).parent
IMPORTED = re.compile(r"^\s*(?:from|import) recsys_platform\.recommender(?:\.| import )(\w+)", re.MULTILINE)


@pytest.mark.parametrize("folder", FLOW)
def test_a_folder_uses_only_those_before_it(folder: str) -> None:
    later = set(FLOW[FLOW.index(folder) + 1 :])
    for path in (HERE / folder).glob("*.py"):
        assert not later & set(IMPORTED.findall(path.read_text())), path


def test_every_folder_has_its_place_and_the_package_names_them_in_order() -> None:
    assert {path.parent.name for path in HERE.glob("*/__init__.py")} == set(FLOW)
    places = [str(package.__doc__).index(name) for name in ("data, models", *FLOW[2:])]
    assert all(before < after for before, after in pairwise(places))
