"""The files that people edit for one world: `variants.yaml`, `list_rules.yaml`, `experiments.yaml`, `destinations.yaml`,
`shelves.yaml`, `shadow.yaml`, `canary.yaml`.

Belongs here: names and places of these files, which one is in use, copies to edit. Does not: their content, which
recommender/training/variants.py, recommender/lists/list_rules.py, experiments/definitions.py, serving/destinations/config.py and
serving/shelves.py, serving/shadow_rule.py, serving/rollout/plan_file.py read.
"""

import shutil
from importlib.resources import files
from pathlib import Path

from recsys_platform.common.errors import SettingsError
from recsys_platform.config.settings import Settings

DEFAULTS = Path(str(files("recsys_platform").joinpath("config")))
VARIANTS, LIST_RULES, EXPERIMENTS = "variants.yaml", "list_rules.yaml", "experiments.yaml"
DESTINATIONS, SHELVES, SHADOW, CANARY_PLAN = "destinations.yaml", "shelves.yaml", "shadow.yaml", "canary.yaml"
NAMES = (VARIANTS, LIST_RULES, EXPERIMENTS, DESTINATIONS, SHELVES, SHADOW, CANARY_PLAN)


def world_file(settings: Settings, name: str) -> Path:
    """The file of this name in the world's configuration folder, or the default where there is none.

    Raises `SettingsError` if `RECSYS_CONFIG_DIR` names no folder, or if a YAML file in it has a name that nothing reads.
    """
    folder = settings.config_folder
    if settings.config_dir and not folder.is_dir():
        raise SettingsError(
            f"RECSYS_CONFIG_DIR={folder} is not a folder: `recsys init` creates it with the default files."
        )
    _refuse_unknown_names(folder)
    own = folder / name
    return own if own.exists() else DEFAULTS / name


def _refuse_unknown_names(folder: Path) -> None:
    unknown = sorted(path.name for path in folder.glob("*.y*ml") if path.name not in NAMES)
    if unknown:
        raise SettingsError(f"{folder / unknown[0]} is not read: rename it to one of {', '.join(NAMES)}, or remove it.")


def copy_defaults(settings: Settings) -> dict[Path, bool]:
    """Copy the default files to the configuration folder; by path, whether it was written: an existing file is left alone."""
    folder = settings.config_folder
    written = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in NAMES:
            written[folder / name] = not (folder / name).exists()
            if written[folder / name]:
                shutil.copyfile(DEFAULTS / name, folder / name)
    except OSError as error:
        raise SettingsError(
            f"{folder} cannot be written: {error.strerror}. Choose a folder you may write to."
        ) from error
    return written
