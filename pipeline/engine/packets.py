"""Joins small payloads to packets, so that an engine sends fewer elements.

An engine takes some time for each element that it sends, however small the element is. A packet has payloads of the
same key: for each payload, its length and then its bytes.
"""

from __future__ import annotations

import itertools
import operator
import struct
from collections.abc import Iterable, Iterator

LENGTH = struct.Struct("<I")
PACKET_BYTES = 1 << 20
"""A packet that has this many bytes gets no further payloads. A key that nearly all payloads have must not become an
element as large as the buffer."""
BUFFER_BYTES = 32 << 20
"""The bytes of payloads that a worker holds before it sends them, or writes them to a file (8 to 64 MB was fastest)."""
PAIR_OVERHEAD_BYTES = 120
"""The size of a buffered tuple and bytes object, without the payload."""


def packets_of(pairs: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Yields (key, packet) for (key, payload) pairs, in the order of the keys.

    >>> list(packets_of([(2, b"b"), (1, b""), (2, b"cd")]))
    [(1, b'\\x00\\x00\\x00\\x00'), (2, b'\\x01\\x00\\x00\\x00b\\x02\\x00\\x00\\x00cd')]
    """
    by_key = operator.itemgetter(0)
    for key, group in itertools.groupby(sorted(pairs, key=by_key), by_key):
        pieces: list[bytes] = []
        num_bytes = 0
        for _, payload in group:
            pieces += (LENGTH.pack(len(payload)), payload)
            num_bytes += len(payload)
            if num_bytes >= PACKET_BYTES:
                yield key, b"".join(pieces)
                pieces, num_bytes = [], 0
        if pieces:
            yield key, b"".join(pieces)


def payloads_of(packet: bytes) -> Iterator[bytes]:
    """Yields the payloads of a packet.

    >>> list(payloads_of(b"\\1\\0\\0\\0b\\2\\0\\0\\0cd"))
    [b'b', b'cd']
    """
    at = 0
    while at < len(packet):
        start = at + LENGTH.size
        at = start + LENGTH.unpack_from(packet, at)[0]
        yield packet[start:at]


def mean_payloads(payload_bytes: float, num_keys: float, in_bundle: float) -> float:
    """Returns the mean number of payloads in a packet, if every key has equally many payloads.

    A bundle is the work that an engine gives a worker at once. A worker sends its packets when the buffer is full, and
    at the end of a bundle. ``in_bundle`` is the number of payloads in a bundle.

    >>> round(mean_payloads(110, 4096, 1e6), 1), round(mean_payloads(110, 4096, 1e4), 1), mean_payloads(1e6, 4096, 1e6)
    (35.6, 2.4, 1.0)
    """
    in_buffer = min(BUFFER_BYTES / (payload_bytes + PAIR_OVERHEAD_BYTES), in_bundle)
    return max(min(in_buffer / num_keys, PACKET_BYTES / payload_bytes), 1.0)
