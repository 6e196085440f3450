"""Pack the folder of a model host as the `model.tar.gz` that SageMaker unpacks into `/opt/ml/model`, and upload it to S3.

The files of the folder are at the root of the archive. The same folder gives the same bytes: sorted names, zero times and owners.
"""

import gzip
import io
import json
import tarfile
from pathlib import Path

from recsys_platform.hub.s3 import S3Hub
from recsys_platform.recommender.registry.files import MANIFEST
from recsys_platform.serving.errors import DeployError
from recsys_platform.serving.model_host.folder import CATALOG, load_host_folder

ARCHIVE = "model.tar.gz"


def upload(folder: Path, to: S3Hub) -> str:
    """Upload the archive of a host folder to `{name of the folder}/model.tar.gz`, unless it is there; returns its S3 URI."""
    key = f"{folder.name}/{ARCHIVE}"
    if not to.exists(key):
        to.put(key, pack(folder))
    return to.where(key)


def pack(folder: Path) -> bytes:
    """The archive of a host folder. Raises `ArtifactError` if it cannot be served, `DeployError` if a file does not belong to it."""
    load_host_folder(folder)
    listed = {name for manifest in (MANIFEST, CATALOG) for name in json.loads((folder / manifest).read_text())["files"]}
    files = _listed_files(folder, {MANIFEST, CATALOG, *listed})
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=6, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in files:
            content = path.read_bytes()
            archive.addfile(_tar_entry(path.name, len(content)), io.BytesIO(content))
    return buffer.getvalue()


def _listed_files(folder: Path, listed: set[str]) -> list[Path]:
    """The files of a folder, sorted by name; links are refused, since they could lead to any file of this machine."""
    found = sorted(folder.iterdir())
    stray = [path for path in (folder, *found) if path.is_symlink()] or [p for p in found if p.name not in listed]
    if stray:
        raise DeployError(f"{stray[0]} is a link or is in no manifest: remove the folder, then run the command again.")
    return found


def _tar_entry(name: str, size: int) -> tarfile.TarInfo:
    """Metadata that does not depend on the machine: no owner, mode 644, time 0."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, 0o644, 0
    return entry
