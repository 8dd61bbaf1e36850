"""Grouping bytes by key, larger than memory: the one composite under every dedup, join and shuffle.

Beam's local runner keeps a GroupByKey in memory at several times its size. So there, payloads go into
sorted spill files and only references to byte ranges are grouped; the reader merges the ranges while it is
iterated. A distributed engine shuffles through its own disks: there the engine's GroupByKey does the work.
Both ways give equal groups (tested).
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import operator
import os
import struct
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

import apache_beam as beam
import numpy as np
import xxhash
from apache_beam.transforms.window import GlobalWindows

from pipeline.files.checked import DamagedFile
from pipeline.files.files import create_file, join
from pipeline.files.spill import RUN_AGAIN, read_range

_LENGTH = struct.Struct("<I")
_PAIR_OVERHEAD_BYTES = 120  # of one buffered tuple and bytes object, so that the buffer's bound is one of memory
_MIN_CHUNK_BYTES = 64 << 10
_KEYS_PER_REFERENCE = 8  # a million (file, key) pairs must not become a million elements

_WRITE_BYTES = 256 << 10
"""Payloads are joined to about this size before they are written and checked."""

Pair = tuple[int, bytes]
Run = tuple[str, int, int, int]
"""Sorted payloads in a file: its path, their first byte, the byte after the last, their checksum."""


class GroupBytes(beam.PTransform):
    """(key, payload) -> (key, payloads in the order of their bytes), for keys 0..num_keys-1.

    Takes one PCollection or a tuple of them (each is spilled where it is made: payloads are never flattened).
    Begin a payload with a big-endian id: the order is then the same on every run, and what belongs together
    stands together. A group reads its payloads while it is iterated, as often as it is.

    Args:
        num_keys: keys are integers below it.
        spill_dir: where spill files go, or None to use the engine's own shuffle.
        buffer_bytes: what one worker holds before it writes a file (8-64 MB measured best).
        merge_bytes: what one group holds while it is merged.
    """

    def __init__(
        self, num_keys: int, spill_dir: str | None, *, buffer_bytes: int = 32 << 20, merge_bytes: int = 32 << 20
    ) -> None:
        super().__init__()
        self._num_keys, self._spill_dir = num_keys, spill_dir
        self._buffer_bytes, self._merge_bytes = buffer_bytes, merge_bytes

    def expand(self, inputs: Any) -> Any:
        parts: Sequence[Any] = inputs if isinstance(inputs, tuple) else (inputs,)
        if self._spill_dir is None:
            pairs = parts[0] if len(parts) == 1 else parts | "flatten" >> beam.Flatten()
            return (
                pairs
                | "group" >> beam.GroupByKey()
                | "sort"
                >> beam.ParDo(_SortGroup(self._buffer_bytes, self._merge_bytes)).with_output_types(tuple[int, Any])
            )
        spilled = [
            part
            | f"spill_{index}"
            >> beam.ParDo(_Spill(self._num_keys, self._spill_dir, self._buffer_bytes)).with_output_types(
                tuple[int, bytes]
            )
            for index, part in enumerate(parts)
        ]
        references = spilled[0] if len(spilled) == 1 else tuple(spilled) | "flatten" >> beam.Flatten()
        return (
            references
            | "group" >> beam.GroupByKey()
            # Any: of an Iterable Beam would read sampled groups once more, to know their size
            | "read_back"
            >> beam.ParDo(_ReadBack(self._spill_dir, self._merge_bytes)).with_output_types(tuple[int, Any])
        )


class _SortGroup(beam.DoFn):
    """Sorts a group that the engine shuffled; one larger than the buffer through files on the worker's own disk.

    The files live as long as the group is looked at: the next step is fused to this one on every engine.
    """

    def __init__(self, buffer_bytes: int, merge_bytes: int) -> None:
        self._buffer_bytes, self._merge_bytes = buffer_bytes, merge_bytes

    def process(self, group: tuple[int, Any]) -> Iterator[tuple[int, list[bytes] | MergedRuns]]:
        key, payloads = group
        held: list[bytes] = []
        held_bytes = 0
        with contextlib.ExitStack() as stack:
            folder = ""
            runs: list[Run] = []
            for payload in payloads:
                held.append(payload)
                held_bytes += len(payload) + _PAIR_OVERHEAD_BYTES
                if held_bytes >= self._buffer_bytes:
                    folder = folder or stack.enter_context(tempfile.TemporaryDirectory(prefix="sort-"))
                    runs.append(_written_run(os.path.join(folder, str(len(runs))), held))
                    held, held_bytes = [], 0
            if not runs:
                yield key, sorted(held)
                return
            if held:
                runs.append(_written_run(os.path.join(folder, str(len(runs))), held))
            yield key, MergedRuns(runs, self._merge_bytes)


def _written_run(path: str, payloads: list[bytes]) -> Run:
    """Writes payloads, sorted, as :func:`_read_run` reads them."""
    payloads.sort()
    with open(path, "wb") as file:
        num_bytes, checksum = _write_payloads(file, payloads)
    return path, 0, num_bytes, checksum


def _write_payloads(file: BinaryIO, payloads: Iterable[bytes]) -> tuple[int, int]:
    """Writes payloads with their lengths; returns the number of bytes and their checksum."""
    digest, num_bytes = xxhash.xxh3_64(), 0
    pieces: list[bytes] = []
    held_bytes = 0
    for payload in payloads:
        pieces += (_LENGTH.pack(len(payload)), payload)
        held_bytes += _LENGTH.size + len(payload)
        if held_bytes >= _WRITE_BYTES:
            num_bytes += _write(file, digest, pieces)
            pieces, held_bytes = [], 0
    return num_bytes + _write(file, digest, pieces), digest.intdigest()


def _write(file: BinaryIO, digest: Any, pieces: list[bytes]) -> int:
    data = b"".join(pieces)
    digest.update(data)
    return file.write(data)


class _Spill(beam.DoFn):
    """A full buffer becomes one file sorted by key and payload, and one reference a range of keys."""

    def __init__(self, num_keys: int, spill_dir: str, buffer_bytes: int) -> None:
        self._num_keys, self._dir, self._buffer_bytes = num_keys, spill_dir, buffer_bytes
        self._pairs: list[Pair] = []
        self._held_bytes = 0

    def start_bundle(self) -> None:  # an instance serves many bundles: a broken one leaves nothing to the next
        self._pairs, self._held_bytes = [], 0

    def process(self, pair: Pair) -> Iterator[Pair]:
        assert 0 <= pair[0] < self._num_keys, pair[0]
        self._pairs.append(pair)
        self._held_bytes += len(pair[1]) + _PAIR_OVERHEAD_BYTES
        if self._held_bytes >= self._buffer_bytes:
            yield from self._flush()

    def finish_bundle(self) -> Iterator[Any]:
        if self._pairs:
            yield from map(GlobalWindows.windowed_value, self._flush())

    def _flush(self) -> Iterator[Pair]:
        name, sizes = uuid.uuid4(), np.zeros(self._num_keys + 1, "<u8")
        checks = np.zeros(self._num_keys, "<u8")
        self._pairs.sort()
        with create_file(join(self._dir, name.hex)) as file:
            for key, pairs in itertools.groupby(self._pairs, operator.itemgetter(0)):
                sizes[key + 1], checks[key] = _write_payloads(file, (payload for _, payload in pairs))
        self._pairs, self._held_bytes = [], 0
        bounds = np.cumsum(sizes, dtype="<u8")
        for first in range(0, self._num_keys, _KEYS_PER_REFERENCE):
            part = bounds[first : first + _KEYS_PER_REFERENCE + 1]
            if part[-1] > part[0]:
                also = checks[first : first + _KEYS_PER_REFERENCE]
                yield first // _KEYS_PER_REFERENCE, name.bytes + part.tobytes() + also.tobytes()


class _ReadBack(beam.DoFn):
    def __init__(self, spill_dir: str, merge_bytes: int) -> None:
        self._dir, self._merge_bytes = spill_dir, merge_bytes

    def process(self, group: tuple[int, Any]) -> Iterator[tuple[int, MergedRuns]]:
        references = list(group[1])
        paths = [join(self._dir, uuid.UUID(bytes=r[:16]).hex) for r in references]
        numbers = np.stack([np.frombuffer(r, "<u8", offset=16) for r in references]).T.tolist()
        num_keys = len(numbers) // 2  # one more bound than keys, and a checksum per key
        bounds, checks = numbers[: num_keys + 1], numbers[num_keys + 1 :]
        first_key = group[0] * _KEYS_PER_REFERENCE
        for key, starts, ends, sums in zip(itertools.count(first_key), bounds, bounds[1:], checks, strict=False):
            runs = [run for run in zip(paths, starts, ends, sums, strict=True) if run[1] < run[2]]
            if runs:
                yield key, MergedRuns(runs, self._merge_bytes)


class MergedRuns:
    """The sorted runs of one key, merged while they are read; no file stays open."""

    def __init__(self, runs: list[Run], merge_bytes: int) -> None:
        self._runs, self._merge_bytes = runs, merge_bytes

    def __iter__(self) -> Iterator[bytes]:
        chunk_bytes = max(self._merge_bytes // len(self._runs), _MIN_CHUNK_BYTES)
        if sum(end - start for _, start, end, _ in self._runs) <= self._merge_bytes:
            chunk_bytes = self._merge_bytes  # every run in one read
        return heapq.merge(*(_read_run(*run, chunk_bytes) for run in self._runs))


def _read_run(path: str, start: int, end: int, checksum: int, chunk_bytes: int) -> Iterator[bytes]:
    """Yields the payloads of a run. Raises DamagedFile at its end if they are not those that were written."""
    data, digest, first = b"", xxhash.xxh3_64(), start
    while start < end:
        stop = min(start + chunk_bytes, end)
        chunk = read_range(path, start, stop)
        digest.update(chunk)
        if stop == end and digest.intdigest() != checksum:
            raise DamagedFile(path, f"bytes {first} to {end} were changed", RUN_AGAIN)
        data, at, start = data + chunk, 0, stop
        while at + _LENGTH.size <= len(data):
            after = at + _LENGTH.size + _LENGTH.unpack_from(data, at)[0]
            if after > len(data):
                break
            yield data[at + _LENGTH.size : after]
            at = after
        data = data[at:]
        chunk_bytes = max(chunk_bytes, 2 * len(data))  # a payload larger than a chunk
    assert not data, path
