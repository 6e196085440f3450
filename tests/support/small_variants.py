"""Variants for whole runs over tiny worlds: each kind of model that lists or tests ask for, none of them trained for long.

The default variants are run whole by tests/integration/test_tutorial.py.
"""

from pathlib import Path

VARIANTS = """\
popularity: {}
lightfm: {components: 8, epochs: 3}
lightfm_content: {model: lightfm, book_identity: false, components: 8, epochs: 3}
als: {components: 16}
ease: {}
blend: {components: [lightfm, ease]}
"""


def write_small_variants(home: Path) -> None:
    """Let a world that is not there yet have these variants."""
    folder = home / "config"
    folder.mkdir(parents=True)
    (folder / "variants.yaml").write_text(VARIANTS)
