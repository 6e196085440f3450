"""The command that gives a world files to edit: `init`."""

from recsys_platform.cli.console import OUT
from recsys_platform.cli.worlds import open_world


def init() -> None:
    """Copy the default variants and list rules to the world's configuration folder, to be edited; keep files that are there."""
    from recsys_platform.config.world_files import copy_defaults

    for path, is_new in copy_defaults(open_world()).items():
        OUT.print(f"{path}: {'written' if is_new else 'kept as it is'}", soft_wrap=True)
    OUT.print("Edit them, then `recsys run`.")
