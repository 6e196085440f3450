"""Whether a process on this machine is still alive, and who runs this one."""

import getpass
import os

import psutil

CLOCK_STEP = 60.0
"""Tolerance, in seconds, for changes of the machine's clock: a process that started so much later counts as the same one."""


def is_process_since(process: int, moment: float) -> bool:
    """Whether the process that had this id at a moment (seconds since 1970) is alive; the id may have been reused since."""
    try:
        found = psutil.Process(process)
        return bool(found.create_time() <= moment + CLOCK_STEP and found.status() != psutil.STATUS_ZOMBIE)
    except psutil.AccessDenied:
        return True
    except psutil.Error:
        return False


def current_user() -> str:
    """The user's name; the user id in a container that has no name for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
