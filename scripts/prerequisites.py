"""Say in one sentence each what this machine lacks for `make setup`; runs before anything is installed, on any Python since 3.7.

Usage: prerequisites.py FOLDER GIGABYTES
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import sysconfig
from collections.abc import Sequence

SUPPORTED = ((3, 11), (3, 13))
WHEELS_SINCE = (3, 12)  # for earlier versions lightfm-next is compiled


def python_version(version: Sequence[int]) -> str | None:
    """Nothing, or that this Python is not one of those that the locked packages are for."""
    if SUPPORTED[0] <= tuple(version[:2]) <= SUPPORTED[1]:
        return None
    return f"Python {version[0]}.{version[1]} is not supported: name a Python from 3.11 to 3.13, as in `make setup PYTHON=python3.12`"


def venv_module(version: Sequence[int]) -> str | None:
    """Nothing, or that the parts of Python that make environments are missing, as on a bare Debian."""
    try:
        for name in ("venv", "ensurepip"):
            importlib.import_module(name)
    except ImportError:
        package = f"python{version[0]}.{version[1]}-venv"
        return f"Python's venv module is missing: install it, on Debian and Ubuntu with `sudo apt install {package}`"
    return None


def compiler(version: Sequence[int]) -> str | None:
    """Nothing, or that a C compiler or Python's headers are missing on a version for which one package has no wheel."""
    header = os.path.join(sysconfig.get_paths()["include"], "Python.h")
    if tuple(version[:2]) >= WHEELS_SINCE or ((os.environ.get("CC") or shutil.which("cc")) and os.path.exists(header)):
        return None
    name = f"python{version[0]}.{version[1]}"
    return (
        f"a C compiler or Python's headers are missing, which {name} needs: install them, on Debian and Ubuntu with "
        f"`sudo apt install build-essential {name}-dev`, or use Python 3.12 or 3.13, which need neither (PYTHON=python3.12)"
    )


def disk_space(folder: str, gigabytes: float) -> str | None:
    """Nothing, or how much room is missing where the environment goes."""
    free = shutil.disk_usage(folder).free / 1e9
    if free >= gigabytes:
        return None
    return f"{folder} has {free:.1f} GB of free disk space, and the environment needs {gigabytes:g} GB: make room or use another disk"


def git_program() -> str | None:
    """Nothing, or that git is missing, which Dagster's and dbt's libraries look for when they are imported."""
    return (
        None if shutil.which("git") else "git is missing: install it, on Debian and Ubuntu with `sudo apt install git`"
    )


def missing(folder: str, gigabytes: float) -> list[str]:
    """Every missing prerequisite, one sentence each."""
    found = (
        python_version(sys.version_info),
        venv_module(sys.version_info),
        compiler(sys.version_info),
        disk_space(folder, gigabytes),
        git_program(),
    )
    return [sentence for sentence in found if sentence]


if __name__ == "__main__":
    sentences = missing(sys.argv[1], float(sys.argv[2]))
    for each in sentences:
        print(f"error: {each}.", file=sys.stderr)
    sys.exit(bool(sentences))
