"""What published tables promise is held against them before they are shown."""

from itertools import chain
from typing import Any

import pytest

from recsys_platform.errors import PublishError
from recsys_platform.warehouse.promises import PROMISES
from tests.published_worlds import BROKEN, KEPT, given, published

ALL = dict(chain.from_iterable(table.items() for table in PROMISES.values()))


def test_tables_that_keep_their_promises_are_published(warehouse: Any) -> None:
    rows = warehouse.publish("v1", published(KEPT), promises=ALL, given=given())
    assert rows == {"user_recommendations": 3, "similar_books": 2, "popular_books": 3}


@pytest.mark.parametrize("sentence", ALL)
def test_each_promise_can_be_broken_and_then_nothing_is_published(warehouse: Any, sentence: str) -> None:
    with pytest.raises(PublishError) as refused:
        warehouse.publish("v1", published(BROKEN), promises={sentence: ALL[sentence]}, given=given())
    assert sentence in str(refused.value)
    assert warehouse.live_version() is None
