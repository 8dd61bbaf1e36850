r"""Bytes to text as LaTeX would: UTF-8 if it is that, else what ``\inputenc`` declares, else Latin-1.

One letter outside of ASCII must not lose a paper: every byte string has a text.
"""

from __future__ import annotations

import codecs
import re

_INPUTENC = re.compile(
    rb"\\(?:usepackage|RequirePackage)\s*\[\s*([\w-]+)\s*\]\s*\{\s*inputencx?\s*\}|\\inputencoding\s*\{([\w-]+)\}"
)
_PYTHON_NAMES = {
    "latin1": "latin-1",
    "latin2": "iso8859-2",
    "latin3": "iso8859-3",
    "latin4": "iso8859-4",
    "latin5": "iso8859-9",
    "latin9": "iso8859-15",
    "latin10": "iso8859-16",
    "ansinew": "cp1252",
    "applemac": "mac_roman",
    "macce": "mac_latin2",
    "maccyr": "mac_cyrillic",
    "koi8-r": "koi8_r",
    "koi8-ru": "koi8_u",
    "iso88595": "iso8859-5",
    "utf8": "utf-8",
    "utf8x": "utf-8",
    **{name: name for name in ("cp437", "cp850", "cp852", "cp855", "cp858", "cp865", "cp866", "cp1250", "cp1251")},
    **{name: name for name in ("cp1252", "cp1257")},
}
"""``inputenc``'s names (as in its manual and the Cyrillic bundle's) and Python's."""


def declared_encoding(data: bytes) -> str | None:
    r"""Returns Python's name of the encoding that the source declares; None where it does not, or none that we know.

    >>> declared_encoding(rb"\usepackage[ansinew]{inputenc}")
    'cp1252'
    """
    match = _INPUTENC.search(data)
    return None if match is None else _PYTHON_NAMES.get((match[1] or match[2]).decode("ascii").lower())


def decode_latex(data: bytes, declared: str | None = None) -> str:
    r"""Decodes a source file; ``declared`` is what its project declares, if the file itself does not.

    >>> decode_latex("José".encode("latin-1")), decode_latex("José".encode())
    ('José', 'José')
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    encoding = declared_encoding(data) or declared or "latin-1"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return data.decode("latin-1")
