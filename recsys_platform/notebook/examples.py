"""The notebooks that come with the platform, as files to open and change.

Belongs here: where they stand, writing them for Jupyter. Does not: what is in them (`notebooks/` in the repository).
"""

from pathlib import Path

from recsys_platform.common.errors import InputError

__all__ = ["write_notebooks"]

_PACKAGE = Path(__file__).parent
_INSTALLED = _PACKAGE / "examples"
_FOLDER = _INSTALLED if _INSTALLED.exists() else _PACKAGE.parents[1] / "notebooks"
"""Inside the package where that was installed from a wheel, else in the checkout."""


def write_notebooks(folder: Path) -> dict[Path, bool]:
    """Write the notebooks as `.ipynb` files into a folder; by path, whether it was written: an existing file is left alone.

    Raises InputError without jupytext, or if the folder cannot be written.
    """
    try:
        import jupytext
    except ImportError as error:
        raise InputError("Notebooks need jupytext: install it with `pip install jupytext`.") from error
    written = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source in sorted(_FOLDER.glob("*.py")):
            target = folder / f"{source.stem}.ipynb"
            written[target] = not target.exists()
            if written[target]:
                jupytext.write(jupytext.read(source), target)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}. Choose a folder you may write to.") from error
    return written
