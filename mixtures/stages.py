"""Reads all stages of a training as one stream. A stage is a part of the training with its own mixture.

Each stage is the output folder of one run. The manifest of the last stage lists the earlier stages.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mixtures.manifest import had_fingerprint, read_manifest
from mixtures.packing import PackedDocument, PackedSegments, joined
from mixtures.row_order import RowOrder
from mixtures.stream import TokenStream

Array = np.ndarray[Any, Any]

_STAGE_BITS = 56
"""In stage k (counted from 0), a row with the number n in its stage has the number k * 2**56 + n in the whole
training.
"""


class StagedStream:
    """Joins the streams of all stages, in the order of the training.

    Attributes:
        stages: one stream per stage.
        paths: the path of each stage's folder, relative to the folder of the last stage. The last path is "".
        source_names: the sources of all stages, sorted.
        fingerprint: a checksum of all stages.
        manifest: the manifest of the last stage.
    """

    def __init__(self, stages: Sequence[TokenStream], paths: Sequence[str]) -> None:
        self.stages, self.paths = tuple(stages), tuple(paths)
        self.num_tokens = sum(stage.num_tokens for stage in stages)
        self.source_names = stages[0].source_names
        self.manifest = stages[-1].manifest
        self._fingerprints = [_joined(stages[: i + 1]) for i in range(len(stages))]
        self.fingerprint = self._fingerprints[-1]

    def num_stages_of(self, fingerprint: object) -> int | None:
        """Returns how many stages a fingerprint covers: N if it is the fingerprint of the first N stages together.
        Returns None if it is the fingerprint of different data."""
        return self._fingerprints.index(str(fingerprint)) + 1 if fingerprint in self._fingerprints else None


Stream = TokenStream | StagedStream


def open_stages(folder: str | Path, **options: Any) -> Stream:
    """Opens the output of a run as one stream. If the run continues earlier stages, their outputs come first in the
    stream.

    Returns a `StagedStream`, or a `TokenStream` if there are no earlier stages.

    Args:
        folder: the output folder or URL of the last stage.
        options: options of `TokenStream`, which apply to every stage.

    Raises:
        ValueError: a stage is missing or damaged, or was replaced after the next stage was made.
    """
    manifest = read_manifest(folder)
    listed = manifest.get("stages", [])
    if not listed:
        return TokenStream(folder, **options)
    names = sorted({*manifest["sources"], *(s for stage in listed for s in stage["sources"])})
    streams = []
    for number, stage in enumerate(listed, 1):
        there = beside(str(folder), stage["path"])
        try:
            stream = TokenStream(there, source_names=names, **options)
        except ValueError as error:
            raise ValueError(f"stage {number} of {folder}: {error}") from error
        if not had_fingerprint(stream.manifest, stage["fingerprint"]):
            raise ValueError(
                f"stage {number} of {folder} is in {there}, and its shards were replaced by others: their fingerprint "
                f"is {stream.fingerprint[:12]}, that of the stage {stage['fingerprint'][:12]}"
            )
        streams.append(stream)
    streams.append(TokenStream(folder, source_names=names, **options))
    return StagedStream(streams, [*(stage["path"] for stage in listed), ""])


def beside(folder: str, path: str) -> str:
    """Returns the full path of a folder. If ``path`` is relative, it starts from ``folder``. Otherwise it is returned
    unchanged.

    >>> beside("gs://bucket/runs/two", "../one"), beside("/data/two", "gs://bucket/one")
    ('gs://bucket/runs/one', 'gs://bucket/one')
    """
    if "://" in path or posixpath.isabs(path):
        return path
    scheme, mark, rest = folder.rpartition("://")
    return f"{scheme}{mark}{posixpath.normpath(posixpath.join(rest, path))}"


class StagedRows:
    """Orders the rows of all stages. An epoch consists of all rows of the first stage, then all rows of the second
    stage, and so on.
    """

    def __init__(self, stream: StagedStream, orders: Sequence[RowOrder]) -> None:
        self._stream, self._orders = stream, tuple(orders)
        self._rows = np.array([order.num_rows for order in orders], np.int64)
        self._ends = np.cumsum(self._rows)
        self.num_rows = int(self._ends[-1])

    def numbers(self, places: Array) -> Array:
        epochs, within = np.divmod(places, self.num_rows)
        stages = np.searchsorted(self._ends, within, "right")
        numbers = np.empty_like(within)
        for stage in np.unique(stages).tolist():
            chosen = np.flatnonzero(stages == stage)
            own = epochs[chosen] * self._rows[stage] + within[chosen] - (self._ends[stage] - self._rows[stage])
            numbers[chosen] = self._orders[stage].numbers(own) + (stage << _STAGE_BITS)
        return numbers

    def find(self, numbers: Array) -> PackedSegments:
        stages = numbers >> _STAGE_BITS
        borders = np.flatnonzero(np.diff(stages, prepend=-1)).tolist()
        parts = [
            self._orders[int(stages[begin])].find(numbers[begin:end] & (2**_STAGE_BITS - 1))
            for begin, end in zip(borders, [*borders[1:], len(numbers)], strict=True)
        ]
        return joined(parts)

    def documents(self, number: int) -> list[PackedDocument]:
        stage = number >> _STAGE_BITS
        path = self._stream.paths[stage]
        found = self._orders[stage].documents(number & (2**_STAGE_BITS - 1))
        return [one.in_folder(path) for one in found] if path else found

    def settings(self, num_stages: int | None = None) -> dict[str, int | str]:
        each = [order.settings() for order in self._orders[:num_stages]]
        windows = [str(one["window_sequences"]) for one in each if "window_sequences" in one]
        return each[0] | ({"window_sequences": ",".join(windows)} if len(windows) > 1 else {})

    def rows_at(self, seq_len: int) -> int:
        return sum(order.rows_at(seq_len) for order in self._orders)

    def rows_of_stages(self, num_stages: int, seq_len: int) -> int:
        """Returns the sum of the rows per epoch of the first ``num_stages`` stages, for sequences of ``seq_len``
        tokens.
        """
        return sum(order.rows_at(seq_len) for order in self._orders[:num_stages])

    def place_of(self, state: Mapping[str, Any]) -> int:
        old = np.cumsum([order.rows_at(int(state["seq_len"])) for order in self._orders])
        epoch, within = divmod(int(state["sequences"]), int(old[-1]))
        stage = int(np.searchsorted(old, within, "right"))
        rows = int(old[stage]) - (int(old[stage - 1]) if stage else 0)
        before = int(old[stage]) - rows
        own = self._orders[stage].place_of({**state, "sequences": epoch * rows + within - before})
        return epoch * self.num_rows + int(self._ends[stage] - self._rows[stage]) + own - epoch * int(self._rows[stage])


def _joined(stages: Sequence[TokenStream]) -> str:
    """Returns one fingerprint of all these stages. If there is only one stage, this is the stage's own fingerprint."""
    if len(stages) == 1:
        return stages[0].fingerprint
    return hashlib.sha256("\n".join(stage.fingerprint for stage in stages).encode()).hexdigest()
