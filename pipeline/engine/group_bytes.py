"""Groups bytes by key with a transform that every dedup, join and shuffle uses. A group may be larger than memory.

A large group is too much for the GroupByKey of most engines. Beam's local runner keeps all groups in memory, and needs
several times their size. Flink and Spark hold each group as one value in the heap, and send the group to the worker as
one list. So payloads are written to sorted spill files, and only references to byte ranges are grouped. The reader
merges the ranges while it iterates. Dataflow's GroupByKey needs no spill files: Dataflow shuffles through its own
service and yields a group piece by piece. Tests check that both ways give equal groups.
"""

from __future__ import annotations

import heapq
import itertools
import operator
import os
import shutil
import struct
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

import apache_beam as beam
import numpy as np
import xxhash
from apache_beam.coders.observable import ObservableMixin
from apache_beam.transforms.window import GlobalWindows

from pipeline.files.checked import DamagedFile
from pipeline.files.files import create_file, join
from pipeline.files.spill import RUN_AGAIN, Shuffle, read_range

_LENGTH = struct.Struct("<I")
_PAIR_OVERHEAD_BYTES = 120  # Size of a buffered tuple and bytes object without the payload.
_MIN_CHUNK_BYTES = 64 << 10
_KEYS_PER_REFERENCE = 8  # a million (file, key) pairs must not become a million elements

_WRITE_BYTES = 256 << 10
"""Payloads are joined until they have about this many bytes. The joined bytes are then written and added to the
checksum."""

Pair = tuple[int, bytes]
Run = tuple[str, int, int, int]
"""A run is a range of a file with sorted payloads. The tuple has the path, the position of the first byte, the position
after the last byte, and the checksum."""


class GroupBytes(beam.PTransform):
    """Groups (key, payload) pairs by key. Outputs (key, payloads), with the payloads sorted by their bytes.

    Keys are integers from 0 to ``num_keys - 1``. The input is one PCollection or a tuple of them. Because of the
    sorting, the output is the same in every run of the pipeline. If payloads begin with a big-endian id, payloads with
    the same id are adjacent. The payloads of a key can be iterated several times, and are read from disk each time.

    Args:
        num_keys: number of keys.
        shuffle: names the spill folder, and says whether payloads are shuffled through this folder or by the engine.
        buffer_bytes: bytes that one worker holds before it writes a file (8 to 64 MB was fastest).
        merge_bytes: bytes that are held while the payloads of one key are merged.
    """

    def __init__(
        self, num_keys: int, shuffle: Shuffle, *, buffer_bytes: int = 32 << 20, merge_bytes: int = 32 << 20
    ) -> None:
        super().__init__()
        self._num_keys, self._shuffle = num_keys, shuffle
        self._buffer_bytes, self._merge_bytes = buffer_bytes, merge_bytes

    def expand(self, inputs: Any) -> Any:
        parts: Sequence[Any] = inputs if isinstance(inputs, tuple) else (inputs,)
        folder = self._shuffle.folder
        if not self._shuffle.by_reference:
            pairs = parts[0] if len(parts) == 1 else parts | "flatten" >> beam.Flatten()
            sort = _SortGroup(folder, self._buffer_bytes, self._merge_bytes)
            return pairs | "group" >> beam.GroupByKey() | "sort" >> beam.ParDo(sort).with_output_types(tuple[int, Any])
        spilled = [
            part
            | f"spill_{index}"
            >> beam.ParDo(_Spill(self._num_keys, folder, self._buffer_bytes)).with_output_types(tuple[int, bytes])
            for index, part in enumerate(parts)
        ]
        references = spilled[0] if len(spilled) == 1 else tuple(spilled) | "flatten" >> beam.Flatten()
        return (
            references
            | "group" >> beam.GroupByKey()
            # The output type is Any: if it were an Iterable, Beam would read sampled groups once more to measure their
            # size.
            | "read_back" >> beam.ParDo(_ReadBack(folder, self._merge_bytes)).with_output_types(tuple[int, Any])
        )


class _SortGroup(beam.DoFn):
    """Sorts the payloads of one key, if the engine has shuffled them.

    A group larger than the buffer is sorted through files on the worker's disk. The files are deleted when the next
    group is requested. By then, the next step has read the payloads, or they were copied for another process.
    """

    def __init__(self, folder: str, buffer_bytes: int, merge_bytes: int) -> None:
        self._folder, self._buffer_bytes, self._merge_bytes = folder, buffer_bytes, merge_bytes

    def process(self, group: tuple[int, Any]) -> Iterator[tuple[int, list[bytes] | MergedRuns]]:
        key, payloads = group
        held: list[bytes] = []
        held_bytes = 0
        with tempfile.TemporaryDirectory(prefix="sort-") as scratch:
            runs: list[Run] = []
            for payload in payloads:
                held.append(payload)
                held_bytes += len(payload) + _PAIR_OVERHEAD_BYTES
                if held_bytes >= self._buffer_bytes:
                    runs.append(_written_run(os.path.join(scratch, str(len(runs))), held))
                    held, held_bytes = [], 0
            if not runs:
                yield key, sorted(held)
                return
            if held:
                runs.append(_written_run(os.path.join(scratch, str(len(runs))), held))
            yield key, SortedHere(runs, self._merge_bytes, self._folder)


def _written_run(path: str, payloads: list[bytes]) -> Run:
    """Sorts payloads and writes them to a file, in the format that :func:`_read_run` reads.

    Returns the run (the path, byte range and checksum of sorted payloads).
    """
    payloads.sort()
    with open(path, "wb") as file:
        num_bytes, checksum = _write_payloads(file, payloads)
    return path, 0, num_bytes, checksum


def _write_payloads(file: BinaryIO, payloads: Iterable[bytes]) -> tuple[int, int]:
    """Writes for each payload its length and then the payload. Returns the number of bytes written and their
    checksum.
    """
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
    """Collects (key, payload) pairs in a buffer. A full buffer is sorted and written to one file.

    For each file, yields (number, reference). A reference covers eight adjacent keys, and the number is ``key // 8``.
    The reference has the name of the file, and the byte range and checksum of each key's payloads.
    """

    def __init__(self, num_keys: int, spill_dir: str, buffer_bytes: int) -> None:
        self._num_keys, self._dir, self._buffer_bytes = num_keys, spill_dir, buffer_bytes
        self._pairs: list[Pair] = []
        self._held_bytes = 0

    def start_bundle(self) -> None:  # the next bundle must not contain pairs of a failed bundle
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
        num_keys = len(numbers) // 2  # one more bound than keys, and one checksum per key
        bounds, checks = numbers[: num_keys + 1], numbers[num_keys + 1 :]
        first_key = group[0] * _KEYS_PER_REFERENCE
        for key, starts, ends, sums in zip(itertools.count(first_key), bounds, bounds[1:], checks, strict=False):
            runs = [run for run in zip(paths, starts, ends, sums, strict=True) if run[1] < run[2]]
            if runs:
                yield key, MergedRuns(runs, self._merge_bytes)


class MergedRuns:
    """Iterates over the payloads of one key in sorted order.

    The payloads come from several runs (sorted pieces of files), which are merged during the iteration. No file stays
    open.
    """

    def __init__(self, runs: list[Run], merge_bytes: int) -> None:
        self._runs, self._merge_bytes = runs, merge_bytes

    def __iter__(self) -> Iterator[bytes]:
        chunk_bytes = max(self._merge_bytes // len(self._runs), _MIN_CHUNK_BYTES)
        if sum(end - start for _, start, end, _ in self._runs) <= self._merge_bytes:
            chunk_bytes = self._merge_bytes  # each run is read with one request
        if len(self._runs) == 1:
            return _read_run(*self._runs[0], chunk_bytes)
        return heapq.merge(*(_read_run(*run, chunk_bytes) for run in self._runs))


class SortedHere(MergedRuns, ObservableMixin):  # type: ignore[misc]
    """Iterates over the sorted payloads of one key, which are in temporary files of this process.

    The process deletes the files when the next key is requested. If the next step runs in this process, it reads the
    files before that. If the engine encodes this object for another process, the payloads are copied to the folder that
    all workers share. Flink and Spark encode it before every step with a side input.
    """

    # The base ObservableMixin prevents needless copies. To measure the size of elements, Beam encodes a sample of them,
    # and encoding copies the payloads. Beam does not encode an ObservableMixin to measure its size.

    def __init__(self, runs: list[Run], merge_bytes: int, folder: str) -> None:
        MergedRuns.__init__(self, runs, merge_bytes)
        ObservableMixin.__init__(self)
        self._folder = folder

    def __reduce__(self) -> tuple[type[MergedRuns], tuple[list[Run], int]]:
        path, runs, size = join(self._folder, uuid.uuid4().hex), list[Run](), 0
        with create_file(path) as sink:
            for local, start, end, checksum in self._runs:
                assert start == 0, local
                with open(local, "rb") as file:
                    shutil.copyfileobj(file, sink, _WRITE_BYTES)
                runs.append((path, size, size + end, checksum))
                size += end
        return MergedRuns, (runs, self._merge_bytes)


def _read_run(path: str, start: int, end: int, checksum: int, chunk_bytes: int) -> Iterator[bytes]:
    """Yields the payloads of a run (a sorted piece of a file).

    Raises DamagedFile at the end of the run if the bytes were changed after they were written.
    """
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
        chunk_bytes = max(chunk_bytes, 2 * len(data))  # for a payload that is larger than a chunk
    assert not data, path
