"""Estimates how much memory a run will need, and refuses a local run that does not fit.

A worker process needs memory for:

- Beam and its libraries,
- the compiler of kernels (compiled loops), if a step has kernels,
- models that processes cannot share,
- buffers of the groupings in one pass,
- one bucket of line hashes (a group of hashes that are sorted together),
- one batch of documents, and its copies while steps run.

None of these grows with the input. A larger input has more buckets, but not larger buckets
(``pipeline.clean.sizing.scale_of``).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filters.step import Step
from pipeline.clean.sizing import MAX_BUCKET_LINES, Scale, lines_of_input
from pipeline.models.load import COMPILED, ModelFiles
from pipeline.models.stored_files import StoredFile, local_path
from pipeline.sources.across_step import AcrossDedup
from pipeline.sources.dedup_steps import DedupStep
from pipeline.sources.min_hash_step import MinHashDedup
from pipeline.sources.source import Source

BASE_BYTES = 330 << 20
"""Memory in bytes of one process without data: Python, Beam, Arrow and the libraries of the sources. The value was
measured (docs/scale.md).
"""
KERNEL_BYTES = 240 << 20
"""Memory in bytes of Numba and LLVM in a process that runs kernels. The kernels of the language and the perplexity take
233 MB when they are compiled for the first time, and 125 MB when stored machine code is used (measured)."""
COMPILED_PIECES = 4
"""Memory of the compiled form of a SentencePiece model, as a multiple of its file. It is 1.1 MB for a file of 0.7 MB
(measured), and 1 MB for the normalised forms of characters."""
BUFFER_BYTES = 4 * (32 << 20)
"""Memory in bytes for the buffers of the four groupings in one pass. One grouping is for references, two are for keys,
and one is for dropped rows. Each buffer takes 32 MB.
"""
BATCH_BYTES = 160 << 20
"""Memory in bytes that a batch with 8 MB of text needs while steps run. It includes the columns of the batch, edited
copies, and Python strings of the longest document.
"""
BYTES_PER_LINE = 17 * 4
"""Memory in bytes per line in a bucket. The hash, place and flag of a line take 17 bytes. While the bucket is sorted,
there are three more copies of these 17 bytes.
"""
BYTES_PER_KEY = 24 * 5
"""Memory in bytes per key in a bucket of a near dedup. A key takes 24 bytes, and about 77 bytes more
while the bucket is sorted (measured). This number is a little larger."""
KEYS_PER_LINE = 0.75
"""The number of keys of a near dedup per line of text. The keys are hashes of bands (groups of MinHash values) and of
sampled n-grams. A document of 2.2 kB has 36 keys and about 50 lines (measured on 12,000 documents)."""
DRIVER_BYTES = 250 << 20
TEXT_PER_INPUT_BYTE = 5
"""The largest number of bytes of text per stored byte of input, for sources with a join. An example of such an input is
a 7z archive of posts in XML.
"""
SORTED_BYTES_PER_LINE = 2 * 25
_MAPPED = (".arpa.bin", ".evals")
"""The endings of files that are mapped into memory. The processes of a machine share these models and indexes."""


@dataclass(frozen=True, slots=True)
class Need:
    """Holds the memory and disk that one machine needs."""

    process_bytes: int
    shared_bytes: int
    """Bytes of the models that are mapped into memory. All processes of a machine share this memory."""
    fetched_bytes: int
    """Bytes of models that are copied to the machine's disk."""
    sort_bytes: int
    """Bytes of the largest group that a process sorts in files on its disk. This happens only if the engine shuffles
    the payloads (as Dataflow does).
    """

    def machine_bytes(self, num_processes: int) -> int:
        return self.process_bytes * num_processes + self.shared_bytes


def foresee(sources: Iterable[tuple[Source, Mapping[str, Any], Scale, int]], *, is_compiled: bool = False) -> Need:
    """Estimates the memory and disk that a machine needs for the clean phase. The mix phase needs less.

    Each item of ``sources`` has four values: a source, the paths of its models, its scale (the numbers of parts and
    buckets), and the stored bytes of its input. ``is_compiled`` is True if the run uses compiled loops for those models
    that can also be computed with NumPy.
    """
    private: dict[str, int] = {}
    mapped: dict[str, int] = {}
    fetched: dict[str, int] = {}
    bucket_lines = bucket_keys = sort_bytes = kernel_bytes = 0
    for source, models, scale, num_bytes in sources:
        if any(isinstance(step, DedupStep) and step.compares_lines for step in source.steps):
            bucket_lines = max(bucket_lines, lines_of_input(num_bytes) // scale.num_line_buckets)
        if any(getattr(step, "HAS_KERNELS", False) for step in source.steps):
            kernel_bytes = KERNEL_BYTES
        if is_compiled and any(COMPILED & {*step.MODELS} for step in source.steps if isinstance(step, Step)):
            kernel_bytes = KERNEL_BYTES
        if any(isinstance(step, MinHashDedup | AcrossDedup) for step in source.steps):
            kernel_bytes = KERNEL_BYTES
            num_keys = int(KEYS_PER_LINE * lines_of_input(num_bytes))
            bucket_keys = max(bucket_keys, num_keys // scale.num_line_buckets)
        sort_bytes = max(sort_bytes, TEXT_PER_INPUT_BYTE * num_bytes // scale.num_parts)
        for path in models.values():
            for file in path.paths if isinstance(path, ModelFiles) else [("", path)]:
                url, size = str(file[1]), _size(file[1])
                (mapped if url.endswith(_MAPPED) else private)[url] = size
                if is_compiled and url.endswith(".sp.model"):
                    private[url] += COMPILED_PIECES * size
                if isinstance(file[1], StoredFile):
                    fetched[url] = size
    held = min(bucket_lines, MAX_BUCKET_LINES)
    held_bytes = max(held * BYTES_PER_LINE, bucket_keys * BYTES_PER_KEY)
    process = BASE_BYTES + kernel_bytes + BUFFER_BYTES + BATCH_BYTES + held_bytes + sum(private.values())
    sort_bytes = max(sort_bytes, bucket_lines * SORTED_BYTES_PER_LINE)
    return Need(process, sum(mapped.values()), sum(fetched.values()), sort_bytes)


def _size(path: Any) -> int:
    if isinstance(path, StoredFile):
        return path.num_bytes
    found = Path(local_path(str(path))) if "://" not in str(path) else None
    return found.stat().st_size if found is not None and found.is_file() else 0


def available_bytes() -> int | None:
    """Returns the free memory of this machine or container, or None if the system does not report it."""
    found = []
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) * 1024)
    except OSError:
        if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
            found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    limit, used = _cgroup("memory.max"), _cgroup("memory.current")
    if limit is not None:
        found.append(limit - (used or 0))
    return min(found) if found else None


def _cgroup(name: str) -> int | None:
    try:
        text = (Path("/sys/fs/cgroup") / name).read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def check_local(need: Need, num_workers: int, available: int | None = None) -> None:
    """Refuses a local run that would not fit.

    Raises:
        ValueError: the run does not fit. The message has the numbers and says what to change.
    """
    available = available_bytes() if available is None else available
    wanted = need.machine_bytes(num_workers) + DRIVER_BYTES
    if available is None or wanted <= available:
        return
    fitting = (available - DRIVER_BYTES - need.shared_bytes) // need.process_bytes
    shared = f" and {need.shared_bytes / 1e9:.1f} GB of models that they share" if need.shared_bytes else ""
    raise ValueError(
        f"memory: {num_workers} worker processes of {need.process_bytes / 1e9:.1f} GB{shared} need "
        f"{wanted / 1e9:.1f} GB, {available / 1e9:.1f} GB are free here; "
        + (
            f"use --direct_num_workers={fitting}"
            if fitting >= 1
            else "use a machine with more memory, fewer --sources at a time, or smaller models"
        )
    )
