"""A process is the same one as long as it lives, whatever becomes of the clock; another one of its id is not."""

import os

import psutil
import pytest

from recsys_platform.common.processes import is_process_since

STARTED = psutil.Process().create_time()


@pytest.mark.parametrize(("seconds_later", "lives"), [(0, True), (1e6, True), (-30, True), (-3600, False)])
def test_a_process_lives_though_the_clock_was_set_and_not_where_its_id_belongs_to_another(
    seconds_later: float, lives: bool
) -> None:
    assert is_process_since(os.getpid(), STARTED + seconds_later) == lives


def test_a_process_that_nobody_has_is_over() -> None:
    assert not is_process_since(2**22 + 1, STARTED)
