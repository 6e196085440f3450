"""What was answered is delivered, whatever happens to the process, the disk or the destination."""

import datetime as dt
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from recsys_platform.common.errors import HubError
from recsys_platform.hub.layout import arrival_of
from recsys_platform.hub.local import FolderHub
from recsys_platform.serving.exposures import EventSpool, to_hub

MOMENT = dt.datetime(2026, 11, 22, 23, 59, 58, tzinfo=dt.UTC)


class Destination:
    """Takes files, or fails for a while."""

    def __init__(self, failures: int = 0) -> None:
        self.failures, self.lines = failures, []  # type: ignore[var-annotated]

    def __call__(self, content: bytes, arrival: dt.datetime) -> None:
        if self.failures:
            self.failures -= 1
            raise HubError("the stream refuses")
        self.lines += content.splitlines()


def test_events_are_delivered_in_order_and_once(tmp_path: Path) -> None:
    destination = Destination()
    spool = EventSpool(tmp_path, destination)
    spool.start()
    for number in range(5):
        assert spool.append({"n": number})
        spool.flush()
    spool.stop()
    assert destination.lines == [b'{"n":%d}' % number for number in range(5)]
    assert list(tmp_path.rglob("*.ready")) == list(tmp_path.rglob("*.open")) == []
    assert (spool.figures.appended, spool.figures.dropped) == (5, 0)


def test_what_a_destination_refuses_is_delivered_later(tmp_path: Path) -> None:
    destination = Destination(failures=2)
    spool = EventSpool(tmp_path, destination)
    for number in range(3):
        spool.append({"n": number})
        spool.flush()
    assert destination.lines == [b'{"n":0}', b'{"n":1}', b'{"n":2}']
    assert spool.landing.figures.failed_deliveries == 2


WRITER = """
import sys, time
from pathlib import Path
from recsys_platform.serving.exposures import EventSpool
spool = EventSpool(Path(sys.argv[1]), lambda content, arrival: None, flush_seconds=3600)
spool.start()
number = 0
while True:
    spool.append({"n": number})
    print(number, flush=True)
    number += 1
"""


def test_a_process_killed_at_any_moment_loses_no_answered_event(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    for _ in range(200):
        process.stdout.readline()
    alive = Destination()
    other = EventSpool(tmp_path, alive)
    other.flush()
    assert alive.lines == []  # a living process keeps its file
    process.send_signal(signal.SIGKILL)
    answered = process.stdout.read().split()
    process.wait()
    other.flush()
    numbers = [int(line[5:-1]) for line in alive.lines]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= max(map(int, answered[:-1] or ["199"])) + 1


def test_a_delivery_that_is_repeated_changes_nothing(tmp_path: Path) -> None:
    hub = FolderHub(tmp_path / "hub")
    deliver = to_hub(hub)
    deliver(b'{"a":1}\n', MOMENT)
    deliver(b'{"a":1}\n', MOMENT)
    (found,) = hub.objects("engagement_events/")
    assert arrival_of(found.key) == dt.datetime(2026, 11, 22, 23)


def test_a_full_disk_drops_and_counts_events_and_leaves_no_half_record(tmp_path: Path) -> None:
    destination = Destination()
    spool = EventSpool(tmp_path, destination)
    spool.append({"n": "first"})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
        assert not spool.append({"n": "a" * 100})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    spool.append({"n": "last"})
    spool.flush()
    assert destination.lines == [b'{"n":"first"}', b'{"n":"last"}']
    assert spool.figures.dropped == 1


def test_a_thread_delivers_after_some_seconds(tmp_path: Path) -> None:
    destination = Destination()
    spool = EventSpool(tmp_path, destination, flush_seconds=0.05)
    spool.start()
    spool.append({"n": 0})
    until = time.monotonic() + 10
    while not destination.lines and time.monotonic() < until:
        time.sleep(0.02)
    assert destination.lines == [b'{"n":0}']
    spool.stop()


@pytest.mark.skipif(os.name != "posix", reason="permissions of files")
def test_only_its_owner_may_read_what_waits_on_disk(tmp_path: Path) -> None:
    spool: Any = EventSpool(tmp_path, Destination())
    spool.append({"userId": "u1"})
    (waiting,) = tmp_path.iterdir()
    assert waiting.stat().st_mode & 0o077 == 0


def test_a_thread_outlives_whatever_a_destination_raises_and_files_that_are_not_ours(tmp_path: Path) -> None:
    delivered: list[bytes] = []

    def deliver(content: bytes, arrival: dt.datetime) -> None:
        if not delivered and content:
            delivered.append(b"tried")
            raise ZeroDivisionError
        delivered.append(content)

    (tmp_path / "notes.ready").write_text("not ours")
    spool = EventSpool(tmp_path, deliver, flush_seconds=0.05)
    spool.append({"n": 0})
    spool.start()
    until = time.monotonic() + 10
    while b'{"n":0}\n' not in delivered and time.monotonic() < until:
        time.sleep(0.02)
    spool.stop()
    assert delivered == [b"tried", b'{"n":0}\n']
    assert (tmp_path / "notes.ready").exists()


class CountingDestination:
    """Counts events, slowly."""

    def __init__(self) -> None:
        self.seen: Counter[bytes] = Counter()

    def __call__(self, content: bytes, arrival: dt.datetime) -> None:
        time.sleep(0.002)
        self.seen.update(content.splitlines())


def test_gateways_that_share_a_folder_send_every_event_once(tmp_path: Path) -> None:
    destination = CountingDestination()
    spools = [EventSpool(tmp_path, destination, flush_seconds=0.01) for _ in range(3)]
    for spool in spools:
        spool.start()
    for number in range(300):
        assert spools[number % 3].append({"n": number})
        time.sleep(0.001)
    for spool in spools:
        spool.stop()
    assert destination.seen == Counter(b'{"n":%d}' % number for number in range(300))


def test_files_of_another_host_are_delivered_though_a_process_here_has_the_same_number(tmp_path: Path) -> None:
    (tmp_path / f"20261122T235958000000-{os.getpid()}-1.open").write_bytes(b'{"n":1}\n')
    (tmp_path / f"20261122T235959000000-0123456789ab-{os.getpid()}-2.ready").write_bytes(b'{"n":2}\n')
    destination = Destination()
    EventSpool(tmp_path, destination).flush()
    assert destination.lines == [b'{"n":1}', b'{"n":2}']


def test_a_spool_that_ends_does_not_wait_out_the_time_to_its_next_try(tmp_path: Path) -> None:
    destination = Destination(failures=1_000)
    spool = EventSpool(tmp_path, destination, flush_seconds=60)
    spool.append({"n": 0})
    spool.start()
    until = time.monotonic() + 20
    while not spool.landing.problem and time.monotonic() < until:
        time.sleep(0.01)
    destination.failures = 0
    spool.stop()
    assert destination.lines == [b'{"n":0}']


def test_files_are_delivered_whatever_the_clock_said_when_they_were_written(tmp_path: Path) -> None:
    times = iter([MOMENT, MOMENT - dt.timedelta(hours=1), MOMENT - dt.timedelta(hours=1)])
    destination = Destination()
    spool = EventSpool(tmp_path, destination, now=lambda: next(times))
    for number in range(3):
        spool.append({"n": number})
        spool.hand_over()
    spool.flush()
    assert sorted(destination.lines) == [b'{"n":0}', b'{"n":1}', b'{"n":2}']
    assert list(tmp_path.rglob("*.ready")) == []
