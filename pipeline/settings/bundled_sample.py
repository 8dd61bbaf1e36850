"""Makes the input files of the sample corpus that comes with the package, once per output folder. Also finds the
sample's small models.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
import uuid
from pathlib import Path
from types import ModuleType

_GLOBS = "globs.json"


def sample_folder() -> Path:
    """Returns the folder of the sample's files: ``samples/`` in a checkout, or the copy in an installed package."""
    here = Path(__file__).resolve().parents[1]
    for folder in (here.parent / "samples", here / "sample"):
        if (folder / "make.py").is_file():
            return folder
    raise ValueError("the sample is not installed: give --input SOURCE=GLOB, or install the package from its wheel")


def models_folder() -> Path:
    """Returns the folder of the sample's models.

    These models are meant for trying the pipeline out. They are too small for real use.
    """
    return sample_folder() / "models"


def _maker() -> ModuleType:
    path = sample_folder() / "make.py"
    spec = importlib.util.spec_from_file_location("sample_make", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["sample_make"] = module
    folder = str(path.parent)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(folder)
    return module


def sample_inputs(work: str) -> dict[str, tuple[str, ...]]:
    """Makes the sample's input files in the folder ``work``, unless they already exist there. Returns the globs of each
    source.
    """
    target = Path(work).resolve() / "sample" / _material_hash()
    if not target.is_dir():
        temporary = target.with_name(f"{target.name}.{uuid.uuid4().hex}.tmp")
        temporary.mkdir(parents=True)
        globs = _maker().make_sample(temporary)
        relative = {source: [os.path.relpath(g, temporary) for g in found] for source, found in globs.items()}
        (temporary / _GLOBS).write_text(json.dumps(relative))
        os.replace(temporary, target)
    listed = json.loads((target / _GLOBS).read_text())
    return {source: tuple(str(target / g) for g in found) for source, found in listed.items()}


def _material_hash() -> str:
    """Returns a hash of the sample's files and of Python's version. The version matters because the sample contains
    Python's own documentation.
    """
    digest = hashlib.sha256(sys.version.encode())
    folder = sample_folder()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
