"""Replace a file in one step, so that another process reads all of the old content or all of the new."""

import os
from pathlib import Path


def replace_file(path: Path, content: str | bytes) -> None:
    """Write a file, in UTF-8 if it is text, in a folder that exists. Raises OSError, and then the file is as it was."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(draft, path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
