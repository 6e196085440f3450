"""The promises of published tables are kept and broken on Snowflake as on DuckDB."""

import pytest

from recsys_platform.common.errors import PublishError
from recsys_platform.warehouse.publications import live_version
from recsys_platform.warehouse.snowflake.engine import SnowflakeWarehouse
from tests.support.published_worlds import ALL, BROKEN, KEPT, given, published


@pytest.mark.slow
def test_every_promise_is_checked_before_tables_are_shown(warehouse: SnowflakeWarehouse) -> None:
    with pytest.raises(PublishError) as refused:
        warehouse.publish("v1", published(BROKEN), checks=ALL, inputs=given())
    assert [sentence for sentence in ALL if sentence not in str(refused.value)] == []
    assert live_version(warehouse) is None
    warehouse.publish("v1", published(KEPT), checks=ALL, inputs=given())
    assert warehouse.frame("select because_book_id from published.user_recommendations order by user_id, rank")[
        "because_book_id"
    ].to_pylist() == ["b1", None, None, None]
