"""`recsys` with a clock that a file sets, for tests: `python settable_clock.py FILE serve …`; the file holds seconds to add.

It stands at the boundary, for a library that would do it for the whole process comes in no wheel: the clocks that serving and its
libraries ask (`utc_now`, `time.time`, `time.time_ns`) are shifted; clocks that only go forward are left alone, as by whoever sets the
time of a machine.
"""

import datetime as dt
import sys
import time
from pathlib import Path


def shift_clocks(file: Path) -> None:
    """Let the clocks of this process follow the file, before anything else imports them."""
    from recsys_platform.common import clock

    real_ns = time.time_ns
    time.time_ns = lambda: real_ns() + int(float(file.read_text()) * 1e9)
    time.time = lambda: time.time_ns() / 1e9
    clock.utc_now = lambda: dt.datetime.fromtimestamp(time.time(), dt.UTC)


if __name__ == "__main__":
    shift_clocks(Path(sys.argv.pop(1)))
    from recsys_platform.cli.app import main

    main()
