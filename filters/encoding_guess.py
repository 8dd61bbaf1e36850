"""Guesses the encoding of bytes: the candidate encoding that gives the most probable text.

Only a sample is decoded: words that contain bytes outside ASCII. The probability of the decoded sample is the
probability of its letters in the most likely language (``filters/data/encodings/letters.yaml``). Some things are rare
in prose, so they lower the probability: a capital after a small letter, two scripts in one word, a sign inside a word,
a control character. The method is naive Bayes. Detectors such as Mozilla's use the same evidence.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

CANDIDATES = (
    "cp1252", "iso8859-15", "cp1250", "iso8859-2", "cp1251", "koi8-r", "koi8-u", "iso8859-5", "cp1253",
    "iso8859-7", "cp1254", "cp1257", "iso8859-13", "iso8859-4", "iso8859-3", "cp1255", "iso8859-8",
    "cp1256", "iso8859-6", "cp874", "cp1258", "gb18030", "big5hkscs", "cp932", "euc_jp", "cp949", "cp866", "cp850",
    "cp437", "cp852", "cp865", "cp861", "cp857", "cp775", "mac-roman", "mac-latin2", "mac-cyrillic", "mac-greek",
    "mac-turkish", "cp855", "cp737", "iso8859-16",
)  # fmt: skip
"""The codecs that are tried, the most common ones first. If two codecs give the same text, the first is chosen."""
_NON_LATIN = frozenset((
    "cp1251", "koi8-r", "koi8-u", "iso8859-5", "cp1253", "iso8859-7", "cp1255", "iso8859-8", "cp1256", "iso8859-6",
    "cp874", "gb18030", "big5hkscs", "cp932", "euc_jp", "cp949", "cp866", "mac-cyrillic", "mac-greek", "cp855",
    "cp737",
))  # fmt: skip
"""Codecs of scripts other than Latin. They are chosen only if the sample has two letters of such a script in a row."""
_FAR_LETTER = re.compile(r"[\u0370-\u1dff\u3041-\ud7af]{2}")
_PRIOR_COSTS = (0.0, *[3.0] * 25, *[7.0] * (len(CANDIDATES) - 26))
"""One cost per candidate, in the order of ``CANDIDATES`` (our choice). The cost is 0 for Windows-1252, 3 for the next
25 codecs (encodings of web pages), and 7 for the others (mostly encodings of DOS and Mac). A cost is subtracted from
the natural logarithm of a probability."""
_MAX_HIGH_BYTES = 1_000
"""Maximum number of bytes outside ASCII in a sample. Our choice: this number is enough to distinguish any two
candidates. The limit bounds the time."""
_MAX_WORDS = 2_000
"""Maximum number of words that are read for the sample, including repeated words (our choice). The sample contains each
word once."""
_MAX_WORD_BYTES = 2_000
_MAX_LEFT_BYTES = 40
_ASCII = bytes(range(0x80))
_HIGH = re.compile(rb"[\x80-\xff]")
_REST_OF_WORD = re.compile(rb"[^\x00-\x20<>\"&;]{0,%d}" % _MAX_WORD_BYTES)
_BREAKS_TO_LINES = bytes(10 if byte <= 0x20 or byte in b'<>"&;' else byte for byte in range(256))
_WORD_BREAK = re.compile(rb"[\x00-\x20<>\"&;]")
_BAD_CATEGORIES = frozenset(("Cc", "Cn", "Co", "Cs"))
_LETTERS = Path(__file__).parent / "data" / "encodings" / "letters.yaml"
_LANGUAGE_BONUS = 8.0
"""If the caller expects a language, a text in that language counts as exp(8) times as probable as the same text in
another language (our choice)."""
_ANY_COST_PER_LETTER = 0.3
"""The cost per letter for a language without a table of letter frequencies (our choice). For such a language, the
frequencies are taken from the sample.
"""
_SIGN_IN_WORD = 7.0
_CONTRADICTION = 0.4
_MIN_CONTRADICTION = 10.0
"""The guess contradicts a declared encoding if the declared encoding makes the sample far less probable. The factor
between the two probabilities must be over exp(10), and over exp(0.4 * n) for a sample with n bytes outside ASCII (our
choice). For correct text in a language without a table, the factor is far smaller."""

# The classes of characters.
_BREAK, _LOWER, _UPPER, _FAR_LOWER, _FAR_UPPER, _CASELESS, _IDEOGRAPH, _SIGN, _ODD, _BAD, _JOINER, _EAST_SIGN = range(
    12
)
_SIGNS = "“”„‚‹›«»…£§°¡¿ºª©®—–、。，！？；：（）「」『』《》"
_JOINERS = "’‘´\u00a0\u00ad·‐\u200c"


@dataclass(frozen=True, slots=True)
class Guess:
    """Describes the most probable encoding of a sample."""

    codec: str
    certainty: float
    """The probability that ``codec`` is right, if one of the candidates is right."""
    score: float
    """The natural logarithm of a probability: that of the sample decoded with ``codec``."""
    sample: bytes
    language: str | None
    """The expected language that the caller gave, or None."""


@dataclass(frozen=True, slots=True)
class _Tables:
    rows: NDArray[np.int16]
    """For each code point up to U+FFFF, its row in ``log_probs``."""
    classes: NDArray[np.uint8]
    """The class of each code point up to U+FFFF."""
    log_probs: NDArray[np.float64]
    """Natural logarithms of the letters' probabilities, of shape (rows, languages). Row 0 is for all characters that
    are not letters."""
    languages: list[str]
    western: NDArray[np.int64]
    """The rows in ``log_probs`` of the letters that Windows-1252 has outside ASCII."""
    ascii: NDArray[np.int64]


def guess_encoding(data: bytes, *, language: str | None = None) -> Guess:
    """Returns the most probable encoding of data that is not ASCII, UTF-8 or UTF-16. ``language`` is the expected
    language (ISO 639-1), or None.

    >>> guess_encoding("Zażółć gęślą jaźń".encode("iso8859-2")).codec
    'iso8859-2'
    """
    sample = _sample(data)
    best, best_score = CANDIDATES[0], -np.inf
    score_by_text: dict[str, float] = {}
    for codec, prior_cost in zip(CANDIDATES, _PRIOR_COSTS, strict=True):
        text = _sample_text(sample, codec)
        if text not in score_by_text and (codec not in _NON_LATIN or _FAR_LETTER.search(text)):
            score_by_text[text] = log_probability(text, language) - prior_cost
            if score_by_text[text] > best_score:
                best, best_score = codec, score_by_text[text]
    certainty = 1.0 / sum(float(np.exp(score - best_score)) for score in score_by_text.values())
    return Guess(best, round(certainty, 3), best_score, sample, language)


def is_contradicted(codec: str, guess: Guess) -> bool:
    """Returns True if the sample of ``guess`` is far more probable in the guessed encoding, and has no more U+FFFD."""
    text = _sample_text(guess.sample, codec)
    if _sample_text(guess.sample, guess.codec).count("\ufffd") > text.count("\ufffd"):
        return False
    score = log_probability(text, guess.language)
    num_high_bytes = _num_high(guess.sample)
    return guess.score - score > max(_MIN_CONTRADICTION, _CONTRADICTION * num_high_bytes)


def is_text(text: str) -> bool:
    r"""Returns True if at most 1 % of the characters are bad. Bad characters are control characters, private-use and
    unassigned characters, and U+FFFD.

    >>> is_text("текст\n"), is_text("\x01\x02\ufffd\ue000")
    (True, False)
    """
    num_bad = sum(
        char not in "\t\n\r\f\ufeff" and (char == "\ufffd" or unicodedata.category(char) in _BAD_CATEGORIES)
        for char in text
    )
    return 100 * num_bad <= len(text)


def _sample(data: bytes) -> bytes:
    """Returns the first words that contain bytes outside ASCII, one per line. A repeated word is returned once.

    Words are separated by ASCII control characters, spaces and the characters ``<>"&;``. In no candidate encoding can
    these bytes be the second byte of a character.
    """
    words: dict[bytes, None] = {}
    num_high_bytes = num_words = at = 0
    while num_high_bytes < _MAX_HIGH_BYTES and num_words < _MAX_WORDS and (high := _HIGH.search(data, at)):
        num_words += 1
        left = data[max(at, high.start() - _MAX_LEFT_BYTES) : high.start()]
        start = high.start() - len(left.translate(_BREAKS_TO_LINES).rpartition(b"\n")[2])
        rest = _REST_OF_WORD.match(data, high.start())
        at = high.end() if rest is None else rest.end()
        word = data[start:at]
        if word not in words:
            words[word] = None
            num_high_bytes += _num_high(word)
        if len(word) >= _MAX_WORD_BYTES:  # skip the rest of the word: reading could begin inside a character
            end = _WORD_BREAK.search(data, at, at + 50 * _MAX_WORD_BYTES)
            if end is None:
                break
            at = end.end()
    return b"\n".join([*words, b""])


def _num_high(data: bytes) -> int:
    return len(data.translate(None, _ASCII))


def _sample_text(sample: bytes, codec: str) -> str:
    text = codecs.getincrementaldecoder(codec)("replace").decode(sample)
    return unicodedata.normalize("NFC", text) if codec == "cp1258" else text


def log_probability(text: str, language: str | None) -> float:
    """Returns the natural logarithm of the text's probability in the language that makes it most probable.

    The text is a sample of words that have characters outside ASCII.
    """
    tables = _tables()
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    points = np.minimum(points, 0xFFFF)
    counts = np.bincount(tables.rows[points], minlength=len(tables.log_probs))
    present = np.flatnonzero(counts)
    by_language = counts[present] @ tables.log_probs[present]
    if language is not None:
        by_language += [_LANGUAGE_BONUS * (name[:2] == language) for name in tables.languages]
    classes = tables.classes[points]
    num_classes = len(_CLASS_COSTS)
    pairs = np.bincount(classes[:-1].astype(np.int16) * num_classes + classes[1:], minlength=num_classes**2)
    cost = np.bincount(classes, minlength=num_classes) @ _CLASS_COSTS + pairs @ _PAIR_COSTS.ravel()
    is_letter = (classes >= _LOWER) & (classes <= _CASELESS)
    is_sign = (classes == _SIGN) | (classes == _ODD)
    cost += _SIGN_IN_WORD * float((is_letter[:-2] & is_sign[1:-1] & is_letter[2:]).sum())
    return float(max(by_language.max(), _score_of_any_language(counts, tables)) - cost)


def _score_of_any_language(counts: NDArray[np.int64], tables: _Tables) -> float:
    """Returns the log probability of the sample in a language that has no table but is written in Windows-1252.

    The letter frequencies of this language are taken from the sample itself, which makes the sample too probable. So
    every letter and every distinct accented letter lower the result. Returns minus infinity if the sample has no
    letters, or letters outside Windows-1252.
    """
    num_letters = int(counts[1:].sum())
    western = counts[tables.western]
    if num_letters == 0 or counts[tables.western].sum() + counts[tables.ascii].sum() < num_letters:
        return -np.inf
    present = counts[counts > 0][1:] if counts[0] else counts[counts > 0]
    entropy = float(present @ np.log(present / num_letters))
    num_accented = int((western > 0).sum())
    return float(entropy - _ANY_COST_PER_LETTER * num_letters - num_accented * (4.0 + 0.5 * np.log(num_letters)))


def _costs() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the costs of unusual characters (our choice). A cost is subtracted from the natural logarithm of a text's
    probability.

    The first array has the costs of classes of characters, for example of control characters. The second array has the
    costs of pairs of neighbouring classes, for example of a capital after a small letter.
    """
    single = np.zeros(12)
    single[[_UPPER, _FAR_UPPER]] = 1.0
    single[[_SIGN, _JOINER, _EAST_SIGN, _ODD, _BAD]] = 5.0, 3.5, 3.5, 9.0, 20.0
    pairs = np.zeros((12, 12))
    near, far = (_LOWER, _UPPER), (_FAR_LOWER, _FAR_UPPER, _CASELESS, _IDEOGRAPH, _EAST_SIGN)
    for lower in (_LOWER, _FAR_LOWER):
        for upper in (_UPPER, _FAR_UPPER):
            pairs[lower, upper] = 7.0
    for one in near:
        for other in far:
            pairs[one, other] += 6.0
            pairs[other, one] += 6.0
    return single, pairs


_CLASS_COSTS, _PAIR_COSTS = _costs()


@cache
def _tables() -> _Tables:
    raw: dict[str, str] = yaml.safe_load(_LETTERS.read_text(encoding="utf-8"))
    frequencies = {name: _frequencies(packed) for name, packed in raw.items()}
    known = sorted(
        {letter for letters in frequencies.values() for letter in letters} | {*_ASCII_LETTERS, *_WESTERN_LETTERS}
    )
    others = ["", "ƀ", "\u4e02", "\uac02", "\u3094", "\u0561"]  # one letter for each group that has no table
    row_of = {letter: len(others) + number for number, letter in enumerate(known)}
    rows = np.zeros(0x10000, np.int16)
    classes = np.zeros(0x10000, np.uint8)
    for point in range(0x80, 0x10000):
        classes[point] = _class_of(chr(point))
    for point in map(ord, _ASCII_LETTERS):
        classes[point] = _LOWER
        classes[point - 32] = _UPPER
    for point in np.flatnonzero((classes >= _LOWER) & (classes <= _IDEOGRAPH)).tolist():
        lower = chr(point).lower()
        rows[point] = row_of.get(lower) or _group(point)
    log_probs = np.zeros((len(others) + len(known), len(frequencies)))
    for column, letters in enumerate(frequencies.values()):
        for row, letter in enumerate([*others, *known]):
            if letter:
                log_probs[row, column] = np.log(letters.get(letter) or _rare(letter, letters))
    in_ascii = np.array([row_of[letter] for letter in _ASCII_LETTERS])
    western = np.array([row_of[letter] for letter in _WESTERN_LETTERS])
    return _Tables(rows, classes, log_probs, list(frequencies), western, in_ascii)


_ASCII_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_WESTERN_LETTERS = "àáâãäåæçèéêëìíîïðñòóôõöøùúûüýþÿßšžœ"
"""The letters of Windows-1252 outside ASCII. Most languages without a table need no other letters outside ASCII."""


def _frequencies(packed: str) -> dict[str, float]:
    """Returns the frequency of each letter, read from a string. The string "łż12 a5" means that 12 of 10,000 letters
    are ``ł``, 12 are ``ż`` and 5 are ``a``. Each frequency is reduced by 2 %, which is left for other letters."""
    pairs = re.findall(r"([^\d\s]+)(\d+)", packed)
    return {letter: 0.98e-4 * int(number) for letters, number in pairs for letter in letters}


def _class_of(char: str) -> int:
    category = unicodedata.category(char)
    if char in _JOINERS:
        return _JOINER
    if char in _SIGNS:
        return _SIGN
    if "\u3000" <= char < "\u3020" or "\uff01" <= char < "\uff5e":
        return _EAST_SIGN
    if category == "Zs":
        return _JOINER
    if category in _BAD_CATEGORIES or char == "\ufffd":
        return _BAD
    if category[0] == "M":
        return _CASELESS
    if category[0] != "L":
        return _ODD
    is_latin = char < "\u0250" or "\u1e00" <= char < "\u1f00"
    if category == "Lu":
        return _UPPER if is_latin else _FAR_UPPER
    if category == "Ll":
        return _LOWER if is_latin else _FAR_LOWER
    return _IDEOGRAPH if "\u3040" <= char < "\ud7b0" else _CASELESS


def _group(point: int) -> int:
    if point < 0x250 or 0x1E00 <= point < 0x1F00:
        return 1
    if 0x4E00 <= point < 0xA000:
        return 2
    if 0xAC00 <= point < 0xD7B0:
        return 3
    return 4 if 0x3040 <= point < 0x3100 else 5


def _rare(letter: str, letters: Mapping[str, float]) -> float:
    """Returns the probability of a letter that is not in a language's table of letter frequencies (our choice)."""
    is_latin = "e" in letters
    if letter.isascii():
        return 5e-4 if is_latin else 3e-3
    if letter < "\u0250":
        return (1e-4 if letter <= "ÿ" else 1e-5) if is_latin else 1e-6
    if "\u4e00" <= letter < "\ua000":
        return 1e-4 if "\u4eba" in letters else 1e-7
    if "\uac00" <= letter < "\ud7b0":
        return 3e-4 if "\uc758" in letters else 1e-7
    if "\u3040" <= letter < "\u3100":
        return 1e-3 if "\u306e" in letters else 1e-7
    return 1e-7
