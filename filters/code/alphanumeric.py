"""Counts letters and digits quickly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_ASCII_ALPHANUMERIC = bytes(byte for byte in range(128) if chr(byte).isalnum())


_UNKNOWN, _IS_NO, _IS_ALPHANUMERIC = 0, 1, 2
_KINDS: npt.NDArray[np.int8] = np.zeros(0x110000, np.int8)
"""One number per code point: whether ``str.isalnum`` is true for the character, as far as the character occurred."""


def _kinds(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.int8]:
    """Returns the numbers of the given code points, and finds out those that are not known yet."""
    found = _KINDS[codes]
    if found.all():
        return found
    for code in np.unique(codes[found == _UNKNOWN]).tolist():
        _KINDS[code] = _IS_ALPHANUMERIC if chr(code).isalnum() else _IS_NO
    return _KINDS[codes]


def num_alphanumeric(text: str) -> int:
    """Returns the number of characters that are letters or digits according to ``str.isalnum``.

    >>> num_alphanumeric("a-ß²_"), num_alphanumeric("x = 10")
    (3, 3)
    """
    if text.isascii():
        return len(text) - len(text.encode().translate(None, _ASCII_ALPHANUMERIC))
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    return int(np.count_nonzero(_kinds(codes) == _IS_ALPHANUMERIC))
