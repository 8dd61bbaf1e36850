"""From a book's bytes to its text, and what its header says of it.

Gutenberg's files are ASCII, Latin-1 (or what Windows, the Macintosh and DOS made of it) or UTF-8 with and without a
mark; since 2003 a line of the header says which, and is sometimes wrong.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

_DECLARED = re.compile(rb"(?:character set encoding|text encoding)\s*:[ \t]*([^\r\n]{1,60})", re.IGNORECASE)
_HEAD_BYTES = 32_768
"""Ours: the longest header with its small print has 22,000 characters; one edition's has 14,000 before its number."""
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CANDIDATES = ("cp1252", "mac-roman", "cp850", "cp437", "cp1251", "koi8-r")
_MIN_MARGIN = 4  # so a few odd characters decide nothing
_MAX_SAMPLED = 4_000  # characters outside ASCII that are looked at to tell an encoding
_RUN = re.compile(rb"[\x80-\xff]+")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
MAX_CONTROL_SHARE = 0.01
"""Ours: a stray end-of-file mark or NUL is mended; a file with more control characters than this is no text."""


@dataclass(frozen=True, slots=True)
class Decoded:
    text: str
    """Lines end in ``\\n`` alone; no byte order mark, no control characters but tab and form feed."""
    encoding: str


def decode(data: bytes) -> Decoded | None:
    """Decodes a book, or says that it is no text (None).

    In this order: a byte order mark; ASCII; valid UTF-8 (which no prose in another encoding is by chance, whatever
    its header says); the header's own word, if the bytes fit it; the encoding in which the most of what is
    outside ASCII reads as letters and quotes of one alphabet, cp1252 where that does not decide.

    >>> decode("naïve\\r\\n".encode("latin-1"))
    Decoded(text='naïve\\n', encoding='cp1252')
    >>> decode(b"\\0" * 100) is None
    True
    """
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return tidy(data[len(bom) :].decode(encoding, "replace"), encoding)
    if data.isascii():
        return tidy(data.decode("ascii"), "ascii")
    try:
        return tidy(data.decode("utf-8"), "utf-8")
    except UnicodeDecodeError as error:
        if error.end >= len(data) - 4 and error.start > len(data) - 4:  # cut within its last character
            return tidy(data[: error.start].decode("utf-8"), "utf-8")
    declared = _declared(data)
    if declared is not None:
        try:
            return tidy(data.decode(declared), declared)
        except UnicodeDecodeError:
            pass
    encoding = _detected(data)
    try:
        return tidy(data.decode(encoding), encoding)
    except UnicodeDecodeError:  # five bytes of cp1252 mean nothing; in Latin-1 every byte means something
        return tidy(data.decode("latin-1"), "iso8859-1")


def _declared(data: bytes) -> str | None:
    """Python's name of the encoding the header names; None where it names none, or one that this file is not in."""
    found = _DECLARED.search(data, 0, _HEAD_BYTES)
    if found is None:
        return None
    for word in re.findall(r"[\w-]+", found.group(1).decode("ascii", "replace")):
        word = re.sub(r"(?i)^(?:codepage|cp|windows)-?(\d+)$", r"cp\1", word)
        try:
            name = codecs.lookup(word).name
            codecs.decode(b"", name)  # LookupError for what turns text into text
        except LookupError:
            continue
        if name == "iso8859-1":  # what is called so is cp1252 wherever it uses the 27 places where they differ
            name = "cp1252"
        if name not in ("ascii", "utf-8"):
            return name
    return None


def _detected(data: bytes) -> str:
    """The candidate under which most bytes over 127 read as prose; cp1252 where none is clearly better."""
    runs: list[bytes] = []
    num_sampled = 0
    for run in _RUN.finditer(data):
        runs.append(data[max(0, run.start() - 1) : run.start()] + run.group()[:64] + data[run.end() : run.end() + 1])
        num_sampled += min(64, run.end() - run.start())
        if num_sampled >= _MAX_SAMPLED:
            break
    sample = b" ".join(runs)
    scores = {encoding: _plausibility(sample.decode(encoding, "replace")) for encoding in _CANDIDATES}
    best = max(_CANDIDATES, key=scores.__getitem__)
    return best if scores[best] >= scores[_CANDIDATES[0]] + _MIN_MARGIN else _CANDIDATES[0]


def _plausibility(text: str) -> int:
    """How many more characters outside ASCII stand where such a character stands in prose than where it does not."""
    score = 0
    for before, char, after in zip(" " + text, text, text[1:] + " ", strict=False):
        if char.isascii():
            continue
        if char.isalpha():
            is_cyrillic = "\u0400" <= char <= "\u04ff"
            neighbours = [other for other in (before, after) if other.isalpha()]
            fits = all(("\u0400" <= other <= "\u04ff") == is_cyrillic for other in neighbours)
            # A run of accented letters is another alphabet read as Latin; a capital behind a small letter is misread.
            runs_on = not is_cyrillic and not before.isascii() and before.isalpha()
            shouts = char.isupper() and before.islower()
            score += 1 if fits and not runs_on and not shouts else -1
        else:
            is_inside = before.isalpha() and after.isalpha() and char not in "’\u00ad"
            score += 1 if not is_inside and char in "“”‘’«»„—–…£§°½¼¾©®·¿¡ºª†‡×\u00a0\u00ad´¨" else -2
    return score


def tidy(text: str, encoding: str) -> Decoded | None:
    """Makes every line end in ``\\n`` and takes control characters out; None where there are too many of them."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    if _CONTROLS.search(text):
        text, num_controls = _CONTROLS.subn("", text)
        if num_controls > MAX_CONTROL_SHARE * (len(text) + num_controls):
            return None
    return Decoded(text, encoding)


@dataclass(frozen=True, slots=True)
class Header:
    """What a Gutenberg header says; None where it says nothing, and all of it None where there is no header."""

    title: str | None = None
    author: str | None = None
    language: str | None = None
    """ISO 639-1; None also where it names several."""
    gutenberg_id: int | None = None


_HEAD_CHARS = 16_384
_FIELD = r"^{name}:[ \t]*(\S[^\n]{{0,300}}(?:\n[ \t]+\S[^\n]{{0,300}}){{0,4}})"
_TITLE = re.compile(_FIELD.format(name="Title"), re.MULTILINE)
_AUTHOR = re.compile(_FIELD.format(name="Authors?"), re.MULTILINE)
_LANGUAGE = re.compile(r"^Language:[ \t]*(\S[^\n]{0,80})", re.MULTILINE)
_NUMBER = re.compile(r"\[?\bE-?(?:text|book)\s*#\s*(\d{1,6})\b", re.IGNORECASE)
_FIRST_LINE = re.compile(
    r"^[* ]*(?:This is )?(?:The )?Project Gutenberg(?:['’]s)?(?: E-?(?:text|book))?,?(?: of)?:? +([^\n]{1,200})",
    re.IGNORECASE | re.MULTILINE,
)


def header_of(text: str) -> Header:
    """Reads title, author, language and number from the first 16,000 characters of a Gutenberg text.

    >>> header_of("The Project Gutenberg Etext of Some Book, by A. Body\\n\\nJune, 1998  [Etext #4321]\\n")
    Header(title='Some Book', author='A. Body', language=None, gutenberg_id=4321)
    """
    head = text[:_HEAD_CHARS]
    if "gutenberg" not in head.lower():
        return Header()
    number = _NUMBER.search(head)
    title, author, language = _TITLE.search(head), _AUTHOR.search(head), _LANGUAGE.search(head)
    named, by = None, None
    if first := _FIRST_LINE.search(head):
        named, _, by = re.sub(r"\s*\*+\s*$", "", first.group(1)).strip().rpartition(" by ")
        named, by = (named.rstrip(","), by) if named else (by, None)
    return Header(
        title=" ".join(title.group(1).split()) if title else named or None,
        author=" ".join(author.group(1).split()) if author else by,
        language=_LANGUAGES.get(language.group(1).strip().rstrip(".").lower()) if language else None,
        gutenberg_id=int(number.group(1)) if number else None,
    )


_LANGUAGES = {
    name: code
    for code, names in {
        "af": "afrikaans", "ar": "arabic", "bg": "bulgarian", "br": "breton", "ca": "catalan", "cs": "czech",
        "cy": "welsh", "da": "danish", "de": "german", "el": "greek,modern greek", "en": "english", "eo": "esperanto",
        "es": "spanish", "et": "estonian", "fa": "persian,farsi", "fi": "finnish", "fr": "french", "fur": "friulian",
        "fy": "frisian", "ga": "irish,gaelic", "gd": "scottish gaelic", "gl": "galician", "he": "hebrew",
        "hr": "croatian", "hu": "hungarian", "ia": "interlingua", "is": "icelandic", "it": "italian",
        "iu": "inuktitut", "ja": "japanese", "ko": "korean", "la": "latin", "lt": "lithuanian", "mi": "maori",
        "nl": "dutch,flemish", "no": "norwegian", "oc": "occitan", "oj": "ojibwa", "pl": "polish",
        "pt": "portuguese", "ro": "romanian", "ru": "russian", "sa": "sanskrit", "sk": "slovak", "sl": "slovenian",
        "sr": "serbian", "sv": "swedish", "te": "telugu", "tl": "tagalog", "yi": "yiddish", "zh": "chinese",
    }.items()
    for name in (*names.split(","), code)
    if len(code) == 2
}  # fmt: skip
