"""Writes and opens the index file of evaluation sets. All processes on a machine map one copy of it into memory.

Layout: 8 bytes of magic | 8 bytes: length of the header | header (JSON) | arrays, each at a multiple of 64 bytes
"""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from filters.decontaminate.build import build_index
from filters.decontaminate.index import Index, index_of
from filters.decontaminate.items import EvalSet, SetRules
from filters.decontaminate.match import RULE_VERSION
from filters.decontaminate.words import NORMALISATION_VERSION
from mixtures.decontaminate.read_sets import checksum_of, items_of
from mixtures.decontaminate.settings import DecontaminationSettings, SetSettings

FORMAT_VERSION = 2
_MAGIC = b"EVALIDX1"
_ALIGNMENT = 64
_KINDS = frozenset({"<u1", "|u1", "<u2", "<u4", "<u8", "<i8"})


def key_of(settings: DecontaminationSettings) -> str:
    """Returns a checksum of everything that determines an index file: the files and settings of the sets, and the
    versions of the rules.

    Raises:
        ValueError: a set has no file.
    """
    sets = [[one.name, one.version, checksum_of(one), dict(one.columns), asdict(_rules(settings, one, ""))]
            for one in settings.sets]  # fmt: skip
    identity = [FORMAT_VERSION, NORMALISATION_VERSION, RULE_VERSION, sets]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _rules(settings: DecontaminationSettings, one: SetSettings, version: str) -> SetRules:
    return one.rules(version, settings)


def make_index(settings: DecontaminationSettings) -> Index:
    """Reads all evaluation sets that the settings name, and returns their index.

    Raises:
        ValueError: a set cannot be read, or the sets are too large.
    """
    return build_index([EvalSet(_rules(settings, one, one.version), items_of(one)) for one in settings.sets])


def write_table(index: Index, checksums: Mapping[str, str], sink: IO[bytes]) -> None:
    """Writes an index of evaluation sets as a file. Equal sets give equal bytes.

    Args:
        checksums: the checksum of each set's files, by the name of the set.
    """
    arrays = index.arrays()
    places, at = {}, 0
    for name, array in arrays.items():
        places[name] = [array.dtype.str, at, len(array)]
        at += -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT
    header = json.dumps({"sets": [asdict(rules) for rules in index.sets], "sha256": dict(checksums), "arrays": places})
    head = _MAGIC + len(header.encode()).to_bytes(8, "little") + header.encode()
    sink.write(head.ljust(-(-len(head) // _ALIGNMENT) * _ALIGNMENT, b"\0"))
    for array in arrays.values():
        data = np.ascontiguousarray(array)
        sink.write(data.tobytes())
        sink.write(b"\0" * (-data.nbytes % _ALIGNMENT))


def open_table(path: str | Path) -> Index:
    """Maps the file of an index into memory and returns the index.

    Raises:
        ValueError: the file is not an index, or is incomplete.
    """
    header, data, start = _open(path)
    arrays = {name: _array(data, start, place, path) for name, place in header["arrays"].items()}
    sets = tuple(SetRules(**{**rules, "public": tuple(rules["public"])}) for rules in header["sets"])
    try:
        return index_of(sets, arrays)
    except KeyError as error:
        raise ValueError(f"{path} lacks the array {error}; delete it and run again") from error


def checksums_in(path: str | Path) -> dict[str, str]:
    """Returns the checksum of each set's files, which the header of an index file records."""
    found: dict[str, str] = _open(path)[0]["sha256"]
    return found


def _open(path: str | Path) -> tuple[dict[str, Any], mmap.mmap, int]:
    try:
        with open(path, "rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    length = int.from_bytes(data[8:16], "little")
    if data[:8] != _MAGIC or 16 + length > len(data):
        raise ValueError(f"{path} is not an index of evaluation sets, or not whole; delete it and run again")
    return json.loads(data[16 : 16 + length]), data, -(-(16 + length) // _ALIGNMENT) * _ALIGNMENT


def _array(data: mmap.mmap, start: int, place: tuple[str, int, int], path: str | Path) -> npt.NDArray[np.generic]:
    kind, at, size = place
    if kind not in _KINDS or start + at + size * np.dtype(kind).itemsize > len(data):
        raise ValueError(f"{path} is not whole; delete it and run again")
    return np.frombuffer(data, dtype=kind, count=size, offset=start + at) if size else np.zeros(0, dtype=kind)
