"""Reads the rules by which a SentencePiece model normalises characters."""

from __future__ import annotations

import functools
import struct

import numpy as np
import numpy.typing as npt

from filters.compiled import kernel

_MAX_KEY_BYTES = 1024
_NUM_CODE_POINTS = 0x110000


@functools.lru_cache(maxsize=4)
def continuations(charsmap: bytes) -> frozenset[str]:
    """Returns the characters that are not the first of a rule for several characters.

    A text without these characters is normalised character by character. For Unicode's normal form NFKC they are marks
    and parts of Hangul syllables.

    ``charsmap`` is ``precompiled_charsmap`` of the model: the size of a trie, and the trie, a double array of the
    library Darts-clone (``normalizer.cc``). If it is empty, the model normalises no characters.

    Raises:
        ValueError: ``charsmap`` is damaged.
    """
    if not charsmap:
        return frozenset()
    (num_bytes,) = struct.unpack_from("<I", charsmap.ljust(4, b"\0"))
    if num_bytes % 4 or num_bytes == 0 or num_bytes + 4 > len(charsmap):
        raise ValueError("precompiled_charsmap is damaged: its trie is incomplete")
    is_found = np.zeros(_NUM_CODE_POINTS, np.uint8)
    if not find_continuations(np.frombuffer(charsmap, "<u4", num_bytes // 4, 4).copy(), is_found):
        raise ValueError("precompiled_charsmap is damaged: its trie has a cycle")
    return frozenset(map(chr, np.flatnonzero(is_found).tolist()))


@kernel
def find_continuations(units: npt.NDArray[np.uint32], is_found: npt.NDArray[np.uint8]) -> bool:
    """Goes through all keys of a trie. Sets ``is_found`` for the code points of all characters but the first of a key.
    Returns False if a key is longer than :data:`_MAX_KEY_BYTES`, as in a trie with a cycle.
    """
    key = np.zeros(_MAX_KEY_BYTES + 4, np.uint8)
    nodes = np.zeros(_MAX_KEY_BYTES + 1, np.int64)
    codes = np.zeros(_MAX_KEY_BYTES + 1, np.int64)  # the last byte that was tried below each node
    depth = 0
    while depth >= 0:
        codes[depth] += 1
        if codes[depth] > 255:
            depth -= 1
            continue
        unit = np.int64(units[nodes[depth]])
        offset = (unit >> 10) << (8 if unit & 512 else 0)
        child = nodes[depth] ^ offset ^ codes[depth]
        if child >= len(units) or np.int64(units[child]) & 0x800000FF != codes[depth]:
            continue
        key[depth] = codes[depth]
        depth += 1
        if depth > _MAX_KEY_BYTES:
            return False
        nodes[depth], codes[depth] = child, 0
        if units[child] & 256:  # a key ends here
            at = 0
            while at < depth:
                code = np.int64(key[at])
                num_bytes = 1 if code < 0xC0 else 2 if code < 0xE0 else 3 if code < 0xF0 else 4
                if at > 0 and at + num_bytes <= depth:
                    if num_bytes == 2:
                        code = ((code & 0x1F) << 6) | (key[at + 1] & 0x3F)
                    elif num_bytes == 3:
                        code = ((code & 0x0F) << 12) | ((key[at + 1] & 0x3F) << 6) | (key[at + 2] & 0x3F)
                    elif num_bytes == 4:
                        code = ((code & 0x07) << 18) | ((key[at + 1] & 0x3F) << 12)
                        code |= ((key[at + 2] & 0x3F) << 6) | (key[at + 3] & 0x3F)
                    if code < len(is_found):
                        is_found[code] = 1
                at += num_bytes
    return True
