"""Measures how fast one task unpacks a whole file: MB of output per second of CPU time and of wall time.

    PYTHONPATH=. python benchmarks/unpacking.py [--rounds N] [--threads 1,2] [--peers FOLDER] FILE...

The files are Posts.xml or texts of books. They are packed in memory in four ways: all as one bzip2 file; as a tar.gz
and as a zip with one member per file; as JSON lines with one file per line; and, for files named Posts.xml, as a .7z.
Each round measures in turn:

- the library bz2 alone;
- our unpacker of bzip2, which first searches for the blocks of the file. It unpacks the blocks one by one, then in
  threads (``--threads``);
- indexed_bzip2 and rapidgzip with the same numbers of threads, if installed (``--peers``: a folder with the packages);
- the libraries zlib and isal alone;
- our division of tar, zip and JSON lines into chunks (groups of whole members or lines);
- our division of a .7z into chunks, first with uncompressed content (which leaves only the serial work), then with
  bzip2 (as in a run).

Figures are the best of the rounds. A figure for N threads is valid only if N processors are free. The line "bz2, N at
once" shows whether they are: it measures N threads that share nothing.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import importlib
import io
import json
import sys
import tarfile
import threading
import time
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO

import py7zr
import zstandard
from isal import isal_zlib

from pipeline.sources.books.reader import BooksReader
from pipeline.sources.formats.bzip2_blocks import Kind, regions, unpack_block
from pipeline.sources.formats.bzip2_threads import ThreadedUnpacker
from pipeline.sources.source import Chunk, InputFile
from pipeline.sources.stack_exchange.reader import StackExchangeReader

READ_BYTES = 1 << 20
Way = Callable[[], int]
"""A function that unpacks some data and returns the number of unpacked bytes."""


def by_blocks(packed: bytes) -> int:
    found = regions(io.BytesIO(packed), 0)
    return sum(len(unpack_block(region)[0]) for region in found if region.kind is Kind.BLOCK)


def by_threads(packed: bytes, num_threads: int) -> int:
    num_bytes = 0
    with ThreadPoolExecutor(num_threads) as pool:
        unpacker = ThreadedUnpacker(pool, num_threads)
        for at in range(0, len(packed), READ_BYTES):
            num_bytes += len(unpacker.decompress(packed[at : at + READ_BYTES]))
        while piece := unpacker.decompress(b""):
            num_bytes += len(piece)
    return num_bytes


def at_once(packed: bytes, num_threads: int) -> int:
    sizes: list[int] = []
    threads = [threading.Thread(target=lambda: sizes.append(len(bz2.decompress(packed)))) for _ in range(num_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(sizes)


def by_peer(name: str, packed: bytes, num_threads: int) -> int:
    with importlib.import_module(name).open(io.BytesIO(packed), parallelization=num_threads) as file:
        return sum(iter(lambda: len(file.read(READ_BYTES)), 0))


def by_chunks(name: str, packed: bytes) -> int:
    reader = BooksReader(max_unit_bytes=1)

    def open_file(path: str) -> BinaryIO:
        return io.BytesIO(packed)

    (unit,) = reader.units([InputFile(name, len(packed))], open_file)
    return sum(len(chunk.data) for chunk in reader.unpack(unit, open_file) if isinstance(chunk, Chunk))


def by_rows(packed: bytes) -> int:
    reader = StackExchangeReader()

    def open_file(path: str) -> BinaryIO:
        return io.BytesIO(packed)

    (unit,) = reader.units([InputFile("a.stackexchange.com.7z", len(packed))], open_file)
    return sum(len(chunk.data) for chunk in reader.unpack(unit, open_file) if isinstance(chunk, Chunk))


def seven_zip(xml: bytes, method: int) -> bytes:
    buffer = io.BytesIO()
    with py7zr.SevenZipFile(buffer, "w", filters=[{"id": method}]) as archive:
        archive.writestr(xml, "Posts.xml")
    return buffer.getvalue()


def tar_of(files: list[bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number, data in enumerate(files):
            info = tarfile.TarInfo(f"{number}.txt")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def zip_of(files: list[bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, data in enumerate(files):
            archive.writestr(f"{number}.txt", data)
    return buffer.getvalue()


def ways_of(files: list[bytes], xml: bytes, numbers: list[int]) -> dict[str, Way]:
    whole = b"".join(files)
    lines = b"".join(json.dumps({"text": data.decode("utf-8", "replace")}).encode() + b"\n" for data in files)
    packed, tar, gzipped = bz2.compress(whole), tar_of(files), gzip.compress(lines)
    tar_gz = gzip.compress(tar, 6)
    zipped, zstd = zip_of(files), zstandard.ZstdCompressor().compress(lines)
    ways: dict[str, Way] = {
        "bz2 alone": lambda: len(bz2.decompress(packed)),
        "bzip2, block by block": partial(by_blocks, packed),
    }
    for number in numbers:
        ways[f"bz2, {number} at once"] = partial(at_once, packed, number)
        ways[f"bzip2, {number} threads"] = partial(by_threads, packed, number)
        for peer in ("indexed_bzip2", "rapidgzip"):
            ways[f"{peer}, {number} threads"] = partial(by_peer, peer, packed, number)
    if xml:
        for name, method in (("stored", py7zr.FILTER_COPY), ("bzip2", py7zr.FILTER_BZIP2)):
            ways[f"7z of {name} into chunks"] = partial(by_rows, seven_zip(xml, method))
    return ways | {
        "zlib alone": lambda: len(zlib.decompress(tar_gz, 31)),
        "isal alone": lambda: len(isal_zlib.decompress(tar_gz, 31)),
        "tar.gz into chunks": partial(by_chunks, "b.tar.gz", tar_gz),
        "tar into chunks": partial(by_chunks, "b.tar", tar),
        "zip into chunks": partial(by_chunks, "b.zip", zipped),
        "jsonl into chunks": partial(by_chunks, "b.jsonl", lines),
        "jsonl.gz into chunks": partial(by_chunks, "b.jsonl.gz", gzipped),
        "jsonl.zst into chunks": partial(by_chunks, "b.jsonl.zst", zstd),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--peers", help="a folder of other packages to import")
    options = parser.parse_args()
    if options.peers:
        sys.path.append(options.peers)
    files = [path.read_bytes() for path in options.paths]
    xml = b"".join(data for path, data in zip(options.paths, files, strict=True) if path.name == "Posts.xml")
    ways = ways_of(files, xml, [int(number) for number in options.threads.split(",")])
    best: dict[str, tuple[float, float, float]] = {}
    for _ in range(options.rounds):
        for name, way in ways.items():
            began, cpu_began = time.perf_counter(), time.process_time()
            try:
                mb = way() / 1e6
            except ImportError as error:
                print(f"{name:26} not run: {error}", file=sys.stderr)
                continue
            wall, cpu = time.perf_counter() - began, time.process_time() - cpu_began
            _, old_wall, old_cpu = best.get(name, (mb, wall, cpu))
            best[name] = mb, min(wall, old_wall), min(cpu, old_cpu)
    print(
        f"{sum(map(len, files)) / 1e6:.1f} MB in {len(files)} files; best of {options.rounds}; MB/s of what comes out"
    )
    for name, (mb, wall, cpu) in best.items():
        print(f"{name:26} CPU {mb / cpu:7.1f}   wall {mb / wall:7.1f}")


if __name__ == "__main__":
    main()
