"""Decodes a book and reads its Gutenberg header.

Gutenberg's files are in ASCII, UTF-8, or encodings of Windows, the Macintosh, DOS or ISO. Since 2003 a line of the
header declares the encoding. The line is sometimes wrong, so it is only one hint among several.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from filters import decoding

_DECLARED = re.compile(rb"(?:character set encoding|text encoding)\s*:[ \t]*([^\r\n]{1,60})", re.IGNORECASE)
_HEAD_BYTES = 32_768
"""A header is searched for in this many bytes. Our choice: the longest header has 22,000 characters."""
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
MAX_CONTROL_SHARE = 0.01
"""The largest share of control characters (such as NUL) in a text, from 0 to 1. If a file has a larger share, it is not
text. Otherwise its control characters are removed. The value is our choice.
"""


@dataclass(frozen=True, slots=True)
class DecodedBook:
    """Holds the text of a book, and information about its decoding."""

    text: str
    """The text. Lines end in ``\\n``. The text has no byte order mark, and no control characters except tab and form
    feed.
    """
    encoding: str
    """Python's name of the encoding from which the book was decoded."""
    decided_by: str = "proved"
    """How the encoding was determined. ``proved``: the bytes show it, for example by a byte order mark. ``declared``:
    the header declares it. ``guessed``: it is the most probable encoding.
    """
    certainty: float = 1.0
    """The certainty of the encoding, from 0 to 1. The value is below 1 for some guesses."""


def decode(data: bytes) -> DecodedBook | None:
    r"""Decodes a book with ``filters.decoding``. Returns None if it is not text.

    The Gutenberg header may declare the encoding. If the encoding must be guessed, the language that the header names
    is used for the guess.

    >>> decode("Noël était déjà là\r\n".encode("latin-1"))
    DecodedBook(text='Noël était déjà là\n', encoding='cp1252', decided_by='guessed', certainty=1.0)
    >>> decode(b"\0" * 100) is None
    True
    """
    head = data[:_HEAD_BYTES].decode("latin-1")
    found = decoding.decode(data, declared=_declared(data), language=header_of(head).language)
    text = tidy(found.text)
    return None if text is None else DecodedBook(text, found.encoding, found.decided_by, found.certainty)


def _declared(data: bytes) -> list[str]:
    """Returns possible names of the encoding that a book's header declares. For example, ``Character set encoding: ISO
    Latin-1`` gives ``ISO Latin-1``, ``ISO`` and ``Latin-1``.
    """
    found = _DECLARED.search(data, 0, _HEAD_BYTES)
    if found is None:
        return []
    label = found.group(1).decode("ascii", "replace").strip()
    return [label, *re.findall(r"[\w-]+", label)]


def tidy(text: str) -> str | None:
    r"""Changes all line ends to ``\n``, and removes control characters. Returns None if the text has too many control
    characters.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    if _CONTROLS.search(text):
        text, num_controls = _CONTROLS.subn("", text)
        if num_controls > MAX_CONTROL_SHARE * (len(text) + num_controls):
            return None
    return text


@dataclass(frozen=True, slots=True)
class Header:
    """Holds the fields of a Gutenberg header. A field that is not in the header is None. Without a header all fields
    are None.
    """

    title: str | None = None
    author: str | None = None
    language: str | None = None
    """The ISO 639-1 code of the language. None if the header names no language, or several."""
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
    """Reads title, author, language and Gutenberg number from the first 16,000 characters of a book. Without
    ``Gutenberg`` in these characters, all fields are None.

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
