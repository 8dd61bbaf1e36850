"""Normalises texts for the perplexity in one pass: first by CCNet's rules, then by those of a SentencePiece model."""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.ccnet.charsmap import continuations
from filters.ccnet.perplexity import normalize
from filters.compiled import kernel

Codes = npt.NDArray[np.uint8]

SPACE = 32
FORM_BYTES = 8
"""The largest number of bytes of a character's normalised form."""
_NUM_CODE_POINTS = 0x20000
_UNSEEN, _NONE = -2, -1
SPACE_SYMBOL = "\u2581"
"""SentencePiece replaces each space by this character."""
_CAPITAL_SIGMA = "\u03a3"


class OnePassNormalizer:
    """Applies two normalisers to a text at once: CCNet's rules, and those of a SentencePiece model.

    Most characters have the same normalised form wherever they are. A table has these forms. A character is added to
    the table when it first occurs. Some characters depend on the characters beside them: marks and parts of Hangul
    syllables can be joined to the character before them, and a capital sigma becomes a final sigma at the end of a
    word. Texts with such characters are left to the two normalisers.

    The SentencePiece model must handle spaces as SentencePiece does by default. It must not have pieces that users
    defined.
    """

    def __init__(self, pieces: Any, charsmap: bytes) -> None:
        """Makes the normaliser of a loaded SentencePiece model.

        ``charsmap`` is ``precompiled_charsmap`` of the same model.
        """
        self._pieces = pieces
        self._continuations = continuations(charsmap)
        self._lengths = np.full(_NUM_CODE_POINTS, _UNSEEN, np.int8)
        self._forms = np.zeros(_NUM_CODE_POINTS * FORM_BYTES, np.uint8)

    def normalize(self, text: str) -> Codes:
        """Returns the normalised text in UTF-8. It has spaces where SentencePiece has U+2581."""
        encoded = text.encode("utf-8")
        codes = np.frombuffer(encoded, np.uint8)
        found = np.empty(FORM_BYTES * len(text) + 1, np.uint8)
        length = normalize_text(codes, self._lengths, self._forms, found)
        if length < 0 and self._add(text):
            length = normalize_text(codes, self._lengths, self._forms, found)
        if length < 0:
            return np.frombuffer(self._by_normalizers(text), np.uint8)
        return found[:length]

    def _add(self, text: str) -> bool:
        """Adds the characters of a text to the table. Returns False if there are no new ones."""
        new = [c for c in set(text) if ord(c) < _NUM_CODE_POINTS and self._lengths[ord(c)] == _UNSEEN]
        for char in new:
            form = self._form_of(char)
            if form is not None:
                self._forms[FORM_BYTES * ord(char) :][: len(form)] = list(form)
            self._lengths[ord(char)] = _NONE if form is None else len(form)  # last, because other threads read it
        return bool(new)

    def _form_of(self, char: str) -> bytes | None:
        """Returns the normalised form of a character; None if the form may depend on the characters beside it."""
        plain = normalize(f"a{char}a")[1:-1]
        form = self._by_normalizers(f"a{char}a").removeprefix(b" a").removesuffix(b"a")
        is_apart = (
            char not in (_CAPITAL_SIGMA, SPACE_SYMBOL)
            and not self._continuations & {*plain}
            and not any(map(unicodedata.combining, plain))  # such marks can change places with others
            and (b" " not in form or form == b" " or plain.isascii())
            and (form in (b"", b" ") or not char.isspace())
        )
        return form if is_apart and len(form) <= FORM_BYTES else None

    def _by_normalizers(self, text: str) -> bytes:
        normalized: bytes = self._pieces.normalize(normalize(text).encode("utf-8"))
        return normalized.replace(SPACE_SYMBOL.encode("utf-8"), b" ")


@kernel
def normalize_text(codes: Codes, lengths: npt.NDArray[np.int8], forms: Codes, found: Codes) -> int:
    """Writes the normalised form of a text into ``found``. Returns the length of the form, or -1 if the text has a
    character without an entry.

    ``lengths`` and ``forms`` have an entry per code point: the number of bytes of its form, and the form in
    :data:`FORM_BYTES` bytes. ``found`` needs that many bytes per character, and one more. The form has spaces as
    SentencePiece leaves them: one in front, and one between words.
    """
    size, length = len(codes), 1
    found[0] = SPACE
    at = 0
    while at < size:
        code = np.int64(codes[at])
        num_bytes = 1 if code < 0xC0 else 2 if code < 0xE0 else 3 if code < 0xF0 else 4
        if at + num_bytes > size:
            return -1
        if num_bytes == 2:
            code = ((code & 0x1F) << 6) | (codes[at + 1] & 0x3F)
        elif num_bytes == 3:
            code = ((code & 0x0F) << 12) | ((codes[at + 1] & 0x3F) << 6) | (codes[at + 2] & 0x3F)
        elif num_bytes == 4:
            code = ((code & 0x07) << 18) | ((codes[at + 1] & 0x3F) << 12)
            code |= ((codes[at + 2] & 0x3F) << 6) | (codes[at + 3] & 0x3F)
        if code >= len(lengths) or lengths[code] < 0:
            return -1
        for byte in range(FORM_BYTES * code, FORM_BYTES * code + lengths[code]):
            if forms[byte] != SPACE or found[length - 1] != SPACE:
                found[length] = forms[byte]
                length += 1
        at += num_bytes
    return length - 1 if found[length - 1] == SPACE else length


@kernel
def has_other_space(codes: Codes) -> bool:
    """True if a text has a control character of ASCII, or a white space character other than the space. White space
    characters are those for which ``str.isspace`` is True."""
    for at in range(len(codes)):
        code = codes[at]
        if code < SPACE:
            return True
        if code < 0xC2 or at + 2 >= len(codes):
            if code == 0xC2 and at + 1 < len(codes) and (codes[at + 1] == 0x85 or codes[at + 1] == 0xA0):
                return True
            continue
        second, third = codes[at + 1], codes[at + 2]
        if code == 0xC2 and (second == 0x85 or second == 0xA0):
            return True
        if code == 0xE1 and second == 0x9A and third == 0x80:
            return True
        if code == 0xE2 and second == 0x80 and (third <= 0x8A or third == 0xA8 or third == 0xA9 or third == 0xAF):
            return True
        if (code == 0xE2 and second == 0x81 and third == 0x9F) or (code == 0xE3 and second == 0x80 and third == 0x80):
            return True
    return False
