r"""Decodes bytes to text, with the same rules for web pages, books and TeX files.

Evidence is used in this order:

1. Proof in the bytes: a byte order mark; ASCII; UTF-16 or UTF-32 by the positions of zero bytes; ISO-2022-JP and
   ISO-2022-KR by their escape sequences; UTF-8 if its multi-byte sequences outnumber the bad bytes.
2. A declared encoding, unless the bytes contradict it. The bytes contradict a declared encoding in two cases: too many
   of them are invalid in this encoding, or they give gibberish in this encoding but words of a language in another
   encoding.
3. A guess: the bytes are decoded with each encoding in ``encoding_guess.CANDIDATES``. The encoding with the most
   probable letters is chosen.

Bad bytes do not affect the text around them:

- In UTF-8, a damaged character becomes one U+FFFD. A single bad byte that is not part of a damaged character is decoded
  as Windows-1252, because editors and mail programs insert such bytes into UTF-8 files.
- In every encoding, a character that is incomplete at the end of the data is dropped.
- In every encoding except UTF-8, a byte without meaning becomes U+FFFD.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from filters.encoding_guess import Guess, guess_encoding, is_contradicted, is_text, log_probability
from filters.encoding_labels import python_codec

DecidedBy = Literal["proved", "declared", "guessed"]

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
_MIN_MARGIN = 10.0
"""The natural logarithm of a factor (our choice). If the text has many bad bytes, UTF-8 is chosen only if it is at
least exp(10) times as probable as every other encoding."""
_SAMPLE_BYTES = 16_384
_MAX_BAD_FRACTION = 0.02
"""Maximum share of bad bytes among the bytes outside ASCII. If the share is larger, the bytes contradict the declared
encoding (our choice)."""
_ESCAPES = ((b"\x1b$)C", "iso2022_kr"), (b"\x1b$B", "iso2022_jp_2"), (b"\x1b$@", "iso2022_jp_2"))
_BAD_RUN = re.compile("[\udc80-\udcff]+")
_BAD_TAIL = re.compile("[\udc80-\udcff]+\\Z")
_CONTINUATIONS = frozenset(range(0x80, 0xC0))


@dataclass(frozen=True, slots=True)
class Decoded:
    """Holds the result of ``decode``."""

    text: str
    """The text without byte order marks at its start. Line ends and control characters are unchanged."""
    encoding: str
    """Python's canonical name of the codec, such as ``utf-8``, ``cp1252`` or ``iso8859-2``."""
    decided_by: DecidedBy
    certainty: float
    """The certainty of the encoding, from 0 to 1. It is 1.0 for a proved or declared encoding, and for UTF-8. For any
    other guess it is the probability of this encoding among all candidates."""
    num_bad_bytes: int
    """Number of bytes that are invalid in ``encoding``. It includes the bytes of an incomplete last character, which
    are dropped."""


def decode(data: bytes, *, declared: Sequence[str] = (), language: str | None = None) -> Decoded:
    r"""Decodes ``data`` by the rules in the module's docstring. Never fails: any bytes give a text.

    In the first example, the declared encoding is wrong. In the second example, the last byte is not valid in UTF-8,
    and is decoded as Windows-1252.

    Args:
        data: the bytes.
        declared: labels of the encodings that headers or the data itself declare, the most trusted first. Labels mean
            what they mean to browsers (``latin-1`` is Windows-1252); unknown labels are ignored.
        language: ISO 639-1 code of the expected language, if known. It makes a guess more reliable.

    >>> decode("déjà vu, naïve café".encode("latin-1"), declared=["utf-8"])
    Decoded(text='déjà vu, naïve café', encoding='cp1252', decided_by='guessed', certainty=1.0, num_bad_bytes=0)
    >>> decode("“Żółw” ".encode() + b"\xfc").text
    '“Żółw” ü'
    """
    codec_names = _known_codecs(declared)
    proved = _proved(data, codec_names)
    if proved is not None:
        return proved
    guess: Guess | None = None
    for codec in codec_names:
        if codec in ("utf-8", "ascii"):
            continue
        text, num_bad_bytes = _decoded(data, codec)
        num_high_bytes = len(data) - len(data.translate(None, bytes(range(0x80, 0x100))))
        if num_bad_bytes > _MAX_BAD_FRACTION * num_high_bytes:
            continue
        if codec in _WIDE:
            if not is_text(text[:_SAMPLE_BYTES]):
                continue
        else:
            guess = guess or guess_encoding(data, language=language)
            if is_contradicted(codec, guess):
                continue
        return Decoded(text, codec, "declared", 1.0, num_bad_bytes)
    guess = guess or guess_encoding(data, language=language)
    text, num_bad_bytes = _decoded(data, guess.codec)
    return Decoded(text, guess.codec, "guessed", guess.certainty, num_bad_bytes)


def _known_codecs(labels: Sequence[str]) -> list[str]:
    codec_names = (python_codec(label) for label in labels)
    return list(dict.fromkeys(name for name in codec_names if name is not None))


def _proved(data: bytes, declared: Sequence[str]) -> Decoded | None:
    for bom, codec in _BOMS:
        if data.startswith(bom) and (codec == "utf-8" or _is_wide_text(data[len(bom) :], codec)):
            text, num_bad_bytes = _decoded(data[len(bom) :], codec)
            return Decoded(text.lstrip("\ufeff"), codec, "proved", 1.0, num_bad_bytes)
    wide = _wide_by_zeros(data)
    if wide is not None:
        text, num_bad_bytes = _decoded(data, wide)
        return Decoded(text, wide, "proved", 1.0, num_bad_bytes)
    if data.isascii():
        for mark, codec in (*_ESCAPES, *([(b"~{", "hz")] if "hz" in declared else [])):
            if mark in data:
                text, num_bad_bytes = _decoded(data, codec)
                return Decoded(text, codec, "proved", 1.0, num_bad_bytes)
        return Decoded(data.decode("ascii"), "ascii", "proved", 1.0, 0)
    try:
        return Decoded(data.decode("utf-8"), "utf-8", "proved", 1.0, 0)
    except UnicodeDecodeError:
        pass
    escaped, num_cut = _escaped_utf8(data)
    num_good, num_bad_bytes = _num_good_and_bad(escaped)
    if num_good > num_bad_bytes or (num_bad_bytes == 0 and "utf-8" in declared):
        return Decoded(_repaired(escaped), "utf-8", "proved", 1.0, num_bad_bytes + num_cut)
    if num_good > 0 and _reads_better_as_utf8(data):
        return Decoded(_repaired(escaped), "utf-8", "guessed", 1.0, num_bad_bytes + num_cut)
    return None


def _reads_better_as_utf8(data: bytes) -> bool:
    """Returns True if UTF-8 gives a far more probable text than every other encoding.

    The probability of a text is the probability of its letters in a natural language. The bad bytes of the UTF-8 text
    are repaired first.
    """
    guess = guess_encoding(data)
    text = _repaired(_escaped_utf8(guess.sample)[0])
    return log_probability(text, None) > guess.score + _MIN_MARGIN


def _escaped_utf8(data: bytes) -> tuple[str, int]:
    """Decodes UTF-8. A bad byte 0xNN becomes U+DCNN.

    Returns:
        The text, and the number of bytes of an incomplete last character, which are dropped.
    """
    text = data.decode("utf-8", "surrogateescape")
    tail = _BAD_TAIL.search(text, max(0, len(text) - 3))
    if tail is not None and _is_incomplete(tail[0].encode("utf-8", "surrogateescape")):
        return text[: tail.start()], len(tail[0])
    return text, 0


def _num_good_and_bad(escaped: str) -> tuple[int, int]:
    """Returns two counts for a text from ``_escaped_utf8``: the multi-byte characters, and the bad bytes."""
    num_high = len(escaped) - len(escaped.encode("ascii", "ignore"))
    num_bad_bytes = len(escaped) - len(escaped.encode("utf-8", "ignore").decode("utf-8"))
    return num_high - num_bad_bytes, num_bad_bytes


def _repaired(escaped: str) -> str:
    r"""Replaces the bad bytes in a text from ``_escaped_utf8`` by the characters that they probably mean, or by U+FFFD.

    >>> _repaired(_escaped_utf8("“é” ".encode() + b"M\xfcller \xe2\x80 caf\xc3 ")[0])
    '“é” Müller � caf� '
    """
    leads = {char.encode()[0] for char in set(escaped) if not "\udc80" <= char <= "\udcff"}
    pieces: list[str] = []
    at = 0
    for run in _BAD_RUN.finditer(escaped):
        bad = run[0].encode("utf-8", "surrogateescape")
        is_after_character = run.start() > 0 and not escaped[run.start() - 1].isascii()
        repaired = _from_surrogates(bad)
        if repaired is None:
            repaired = "".join(_repaired_bytes(bad, leads, is_after_character=is_after_character))
        pieces += [escaped[at : run.start()], repaired]
        at = run.end()
    return "".join(pieces) + escaped[at:]


def _is_incomplete(tail: bytes) -> bool:
    """Returns True if the bytes are an incomplete UTF-8 character: the further bytes of this character are missing."""
    try:
        tail.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data" and error.start == 0
    return False


def _from_surrogates(bad: bytes) -> str | None:
    """Decodes characters beyond U+FFFF in the form in which Java and Oracle write them: two surrogates of 3 bytes each
    (CESU-8).

    Returns None if the bytes are not such characters.
    """
    if len(bad) < 6 or not bad.startswith(b"\xed"):
        return None
    try:
        return bad.decode("utf-8", "surrogatepass").encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        return None


def _repaired_bytes(bad: bytes, leads: set[int], *, is_after_character: bool) -> Iterator[str]:
    """Yields the replacements of bad bytes: a Windows-1252 character for each isolated byte, and one U+FFFD for each
    damaged character.

    An isolated byte is not followed by a continuation byte. If it is itself a continuation byte, it must be the first
    byte of ``bad``, and the character before it must be ASCII (``is_after_character`` is false). If not, no character
    of the document may begin with this byte. ``leads`` contains the bytes with which the document's characters begin.
    """
    at = 0
    while at < len(bad):
        end = at + 1
        while end < len(bad) and bad[end] in _CONTINUATIONS:
            end += 1
        is_stray = bad[at] in _CONTINUATIONS and (at > 0 or is_after_character)
        if end > at + 1 or bad[at] in leads or is_stray:
            yield "\ufffd"
        else:
            yield bad[at:end].decode("cp1252", "replace")
        at = end


def _decoded(data: bytes, codec: str) -> tuple[str, int]:
    """Decodes ``data`` with ``codec``. Returns the text and the number of bad bytes.

    Bad bytes are replaced by the rules in the module's docstring. An incomplete last character is dropped.
    """
    if codec == "utf-8":
        escaped, num_cut = _escaped_utf8(data)
        return _repaired(escaped), _num_good_and_bad(escaped)[1] + num_cut
    decoder = codecs.getincrementaldecoder(codec)("replace")
    text = decoder.decode(data)
    num_bad_bytes = len(decoder.getstate()[0]) + text.count("\ufffd")
    return unicodedata.normalize("NFC", text) if codec == "cp1258" else text, num_bad_bytes


def _wide_by_zeros(data: bytes) -> str | None:
    """Returns the codec if zero bytes show that the data is UTF-16 or UTF-32 without a byte order mark, else None."""
    sample = data[:_SAMPLE_BYTES]
    if b"\0" not in sample or len(sample) < 4:
        return None
    zeros = [sample[at::4].count(0) for at in range(4)]
    quarter = max(1, len(sample) // 4)
    candidates = []
    if min(zeros[2:]) > 0.9 * quarter and zeros[0] < 0.1 * quarter:
        candidates.append("utf-32-le")
    if min(zeros[:2]) > 0.9 * quarter and zeros[3] < 0.1 * quarter:
        candidates.append("utf-32-be")
    even, odd = zeros[0] + zeros[2], zeros[1] + zeros[3]
    if odd > 20 * even:
        candidates.append("utf-16-le")
    if even > 20 * odd:
        candidates.append("utf-16-be")
    return next((codec for codec in candidates if _is_wide_text(data, codec)), None)


def _is_wide_text(data: bytes, codec: str) -> bool:
    """Returns True if ``codec`` (UTF-16 or UTF-32) decodes the first bytes to text in which at most 1 % of the
    characters are invalid, control or unassigned characters."""
    sample = data[:_SAMPLE_BYTES]
    decoder = codecs.getincrementaldecoder(codec)("replace")
    return is_text(decoder.decode(sample))
