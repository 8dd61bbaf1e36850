"""Unpacks a bzip2 stream from start to end with several threads. The reader of .7z files uses this module.

:class:`ThreadedUnpacker` replaces ``bz2.BZ2Decompressor``. Its method ``decompress`` takes the next packed bytes, and
returns the next unpacked bytes if they are ready. Between two calls of ``decompress``, the threads unpack further
blocks from the packed bytes of earlier calls.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from pipeline.sources.formats.bzip2_blocks import (
    MAX_FALSE_MARKS,
    BlockUnpacker,
    Kind,
    Region,
    RegionCutter,
    fault_behind,
    is_whole_end,
    unpack_block,
    unpack_last,
)

MAX_THREADS = 8
"""The largest number of threads (our choice). At 20 MB/s or more per thread, eight threads unpack 100 GB in eleven
minutes, and two threads in under an hour."""
_BLOCKS_PER_THREAD = 2
"""The number of blocks that are prepared per thread. While a thread unpacks one block, its next block is already
prepared. So no thread waits for input.
"""
_AHEAD_BYTES = 4 << 20
"""A thread unpacks at most this many bytes of a block while the block waits, that is, until all bytes of earlier blocks
were returned. Then the remaining bytes of the block are unpacked. A block of text unpacks to 0.9 MB, but a crafted
block can unpack to 47 MB. With this limit, a waiting block takes under 12 MB of memory (its
stored, shifted and unpacked bytes, and 3.6 MB for the decoder).

With eight threads we measured 110 MB of memory for text, and 650 MB for zeros. Most of the 650 MB is for py7zr, which
requests up to 128 MB per call.
"""

_Begun = tuple[BlockUnpacker, bytes]


def num_threads() -> int:
    """Returns the number of threads to use: one per processor that this process may use, at most ``MAX_THREADS``."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, MAX_THREADS)


class ThreadedUnpacker:
    """Unpacks one or more bzip2 streams that follow each other. The caller gives the stored bytes piece by piece.

    A damaged block raises OSError, as with ``bz2.BZ2Decompressor``. The error is raised only after all bytes before the
    damaged block were returned. So the result for a damaged file does not depend on the speed of the threads.
    """

    def __init__(self, pool: ThreadPoolExecutor, num_threads: int) -> None:
        self._pool = pool
        self._max_ahead = num_threads * _BLOCKS_PER_THREAD
        self._cutter = RegionCutter()
        self._waiting: deque[Region] = deque()
        self._begun: deque[tuple[Region, Future[_Begun] | None]] = deque()
        self._out = bytearray()
        self._is_fed = False
        self._error: OSError | None = None

    def decompress(self, data: bytes | bytearray | memoryview, max_length: int = -1) -> bytes:
        """Takes the next packed bytes, and returns at most ``max_length`` unpacked bytes (no limit if negative).

        ``data`` is empty if there are no more packed bytes. Then an empty result means the end of the stream. If
        ``data`` is not empty, an empty result means only that no unpacked bytes are ready.
        """
        if data:
            self._waiting.extend(self._cutter.feed(bytes(data)))
        elif not self._is_fed:
            self._waiting.extend(self._cutter.finish())
            self._is_fed = True
        self._begin()
        self._collect(max_length, has_more=bool(data))
        if self._error is not None and not self._out:
            raise self._error
        size = len(self._out) if max_length < 0 else min(max_length, len(self._out))
        out = bytes(self._out[:size])
        del self._out[:size]
        return out

    def _collect(self, max_length: int, *, has_more: bool) -> None:
        """Moves unpacked blocks to the output. Stops if there is enough output, or if a block is damaged."""
        while (
            self._error is None
            and self._begun
            and (max_length < 0 or len(self._out) < max_length)
            and self._is_due(has_more=has_more)
        ):
            try:
                if not self._take():
                    return  # the following regions are needed to decide whether the block is damaged
            except OSError as error:
                self._error = error
            self._begin()

    def _is_due(self, *, has_more: bool) -> bool:
        """True if the oldest block should be moved to the output now. This is the case if the block is ready, if the
        queue of blocks is full, or if there is no more input and the output is empty.
        """
        future = self._begun[0][1]
        is_ready = future is None or future.done()
        return is_ready or len(self._begun) >= self._max_ahead or not (has_more or self._out)

    def _begin(self) -> None:
        while self._waiting and len(self._begun) < self._max_ahead:
            region = self._waiting.popleft()
            is_whole = region.kind is Kind.BLOCK and not (region.is_last or region.is_cut)
            self._begun.append((region, self._pool.submit(_begin, region) if is_whole else None))

    def _take(self) -> bool:
        """Moves the oldest block to the output. Returns False if more input is needed first."""
        region, future = self._begun[0]
        if future is None:
            self._begun.popleft()
            self._out += _unpacked_here(region)
            return True
        try:
            unpacker, data = future.result()
            data += unpacker.rest()
            num_used = 0
        except OSError:
            following = [*(r for r, _ in self._begun), *self._waiting][1 : 1 + MAX_FALSE_MARKS]
            if len(following) < MAX_FALSE_MARKS and not self._is_fed:
                return False
            data, num_used = unpack_block(region, following)
        for _ in range(1 + num_used):
            (self._begun or self._waiting).popleft()
        self._out += data
        return True


def _begin(region: Region) -> _Begun:
    unpacker = BlockUnpacker(region)
    return unpacker, unpacker.begin(_AHEAD_BYTES)


def _unpacked_here(region: Region) -> bytes:
    """Unpacks a region in the calling thread. The other threads unpack only complete blocks with a mark after them.
    This function is for all other regions, for example a block at the end of the file.
    """
    if region.kind is Kind.BLOCK:
        if region.is_cut:
            raise OSError("a block without an end")
        return unpack_last(region)
    if region.kind is Kind.HEAD or is_whole_end(region):
        fault = fault_behind(region)
        if fault:
            raise OSError(fault)
    return b""
