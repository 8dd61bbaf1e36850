"""Makes temporary folders for training. They are in the folder of models, whose disk is large enough for them."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from tokenizer.interrupts import at_end, delete_at_end


@contextlib.contextmanager
def scratch_folder(models: Path, name: str) -> Iterator[Path]:
    """Yields an empty folder and deletes it at the end, also after an interrupt.

    First deletes folders that a killed run left behind.
    """
    folder = models / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    delete_at_end(name, str(folder))
    try:
        yield folder
    finally:
        at_end(name, None)
        shutil.rmtree(folder, ignore_errors=True)
