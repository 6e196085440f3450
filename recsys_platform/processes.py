"""Whether a process of this machine still lives."""

import getpass
import os


def is_alive(process: int) -> bool:
    """Whether there is a process of this id, also one of another user."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def current_user() -> str:
    """The user's name; in a container without one, the number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
