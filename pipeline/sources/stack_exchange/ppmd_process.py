"""Unpacks PPMd in a separate process, because damaged data can crash the process that unpacks it.

On some damaged streams the unpacker of ``pyppmd`` reads outside its memory and is killed by a signal. No dump of Stack
Exchange is known to be packed with PPMd, so its speed does not matter.
"""

from __future__ import annotations

import contextlib
import struct
import subprocess
import sys
import threading
from typing import IO

from py7zr.exceptions import ArchiveError

MAX_MEMORY_BYTES = 1 << 30
"""An archive is refused if it requires more bytes of memory than this (our choice). 7-Zip's strongest level takes 192
MB.
"""
_MAX_ORDER = 64
_MIN_MEMORY_BYTES = 1 << 11
_MAX_SECONDS = 120
"""The largest number of seconds to unpack one piece. Our choice: a piece unpacks to at most 128 MB, which takes about
ten seconds.
"""
_PROGRAM = """
import struct, sys
import pyppmd
decoder = pyppmd.Ppmd7Decoder(int(sys.argv[1]), int(sys.argv[2]))
while head := sys.stdin.buffer.read(12):
    num_bytes, limit = struct.unpack("<Lq", head)
    data = sys.stdin.buffer.read(num_bytes)
    if not data and decoder.needs_input:
        data = bytes(1)
    out = decoder.decode(data, limit)
    sys.stdout.buffer.write(struct.pack("<Q", len(out)) + out)
    sys.stdout.buffer.flush()
"""


class PpmdProcess:
    """Unpacks PPMd (a compression method of .7z archives) in a separate process. py7zr can use this object in place of
    its own decompressor.
    """

    def __init__(self, properties: bytes) -> None:
        if len(properties) not in (5, 7):
            raise ArchiveError("the properties of PPMd have a wrong size")
        order, memory_bytes = struct.unpack_from("<BL", properties)
        if not (2 <= order <= _MAX_ORDER and _MIN_MEMORY_BYTES <= memory_bytes <= MAX_MEMORY_BYTES):
            raise ArchiveError(f"PPMd of order {order} and with {memory_bytes} bytes of memory is not read")
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(order), str(memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def decompress(self, data: bytes | bytearray | memoryview, max_length: int = -1) -> bytes:
        """Takes packed bytes and returns at most ``max_length`` unpacked bytes (no limit if negative).

        Raises:
            ArchiveError: the data are damaged.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        watchdog = threading.Timer(_MAX_SECONDS, self._process.kill)
        watchdog.start()
        try:
            self._process.stdin.write(struct.pack("<Lq", len(data), max_length) + bytes(data))
            self._process.stdin.flush()
            (num_bytes,) = struct.unpack("<Q", _exactly(self._process.stdout, 8))
            return _exactly(self._process.stdout, num_bytes)
        except (BrokenPipeError, EOFError):
            self.close()
            raise ArchiveError(f"PPMd does not unpack (exit {self._process.returncode})") from None
        finally:
            watchdog.cancel()

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # the process did not read all bytes
                    pipe.close()


def _exactly(pipe: IO[bytes], num_bytes: int) -> bytes:
    data = pipe.read(num_bytes)
    if len(data) < num_bytes:
        raise EOFError
    return data
