"""Loaders in processes of their own, and how they are killed at work."""

import gzip
import json
import random
import subprocess
import time


def begin(process: subprocess.Popen[str]) -> None:
    process.stdin.write("\n")
    process.stdin.flush()


def land_many(land, view, count: int) -> None:
    for number in range(count):
        records = [json.dumps(view(f"{number}-{n}")).encode() for n in range(4)]
        if number % 5 == 0:
            records += [b"oops", b'{"messageId":"m"}']
        whole = gzip.compress(b"\n".join(records))
        land(f"{number:04}.gz", whole[: -6 if number % 11 == 0 else None], packed=False, hour=number % 24)


def kill_at_work(
    process: subprocess.Popen[str], chance: random.Random, *, objects: int = 8, seconds: float = 0.03
) -> None:
    """Let a loader load a few objects, and kill it at any moment of the next one or two, which take so many seconds."""
    begin(process)
    for _ in range(chance.randint(0, objects)):
        process.stdout.readline()
    time.sleep(chance.uniform(0, seconds))
    process.kill()
    process.communicate()
