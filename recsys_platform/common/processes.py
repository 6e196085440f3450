"""Whether a process of this machine still lives."""

import getpass
import os

import psutil

CLOCK_STEP = 60.0
"""Seconds by which the machine's clock may have been set since a moment was noted: so much younger is still the same process."""


def is_process_since(process: int, moment: float) -> bool:
    """Whether the process that had this id at a moment (seconds since 1970) still lives; its id may be another's by now."""
    try:
        found = psutil.Process(process)
        return bool(found.create_time() <= moment + CLOCK_STEP and found.status() != psutil.STATUS_ZOMBIE)
    except psutil.AccessDenied:
        return True
    except psutil.Error:
        return False


def current_user() -> str:
    """The user's name; in a container without one, the number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
