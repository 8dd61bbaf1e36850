r"""Decodes the files of a paper with :mod:`filters.decoding`. The encodings that a LaTeX source declares (``inputenc``)
are taken into account.

Decoding never fails. In a UTF-8 file, a bad byte damages only one character.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from filters.decoding import Decoded, decode

_DECLARES = re.compile(
    rb"\\(?:usepackage|RequirePackage)\s*\[([\w\s,-]{1,100})\]\s*\{\s*(?:lua)?input(?:enc|encx|enx)\s*\}"
    rb"|\\inputencoding\s*\{([\w-]{1,40})\}"
    rb"|\\begin\s?\{CJK\*?\}\s*(?:\[[^\]\n]{0,40}\]\s*)?\{([\w-]{1,40})\}"
    rb"|\\usepackage\s*(?:\[[^\]\n]{0,40}\]\s*)?\{\s*CJK(utf8)\s*\}"
    rb"|^%[ \t]*!TeX[ \t]+(?:file)?encoding[ \t]*=[ \t]*([\w-]{1,40})",
    re.IGNORECASE | re.MULTILINE,
)
_MARKS = (b"inputen", b"CJK", b"!TeX", b"!TEX", b"!tex")
"""Every declaration of an encoding contains one of these strings. Most files contain none of these strings, so they
need not be searched further.
"""
_LABELS = {
    "gb": "gb18030",
    "bg5": "big5",
    "bg5+": "big5",
    "ks": "euc_kr",
    "jis": "euc_jp",
    "sjis": "shift_jis",
    "isolatin": "latin1",
    "macosroman": "macintosh",
    "applemac": "macintosh",
    "latin10": "iso8859-16",
    "latin3": "iso8859-3",
    "latin4": "iso8859-4",
}
"""Maps names of encodings to labels that Python or browsers know. The names are those that only ``inputenc``, ``CJK``
or editors use."""


def declared_encoding(data: bytes) -> str | None:
    r"""Returns the label of the encoding that a source declares outside of comments, or None if it declares none.

    >>> declared_encoding(rb"\usepackage[ansinew]{inputenc}"), declared_encoding(rb"%\inputencoding{latin2}")
    ('ansinew', None)
    """
    if not any(mark in data for mark in _MARKS):
        return None
    for match in _DECLARES.finditer(data):
        line = data[data.rfind(b"\n", 0, match.start()) + 1 : match.start()]
        if b"%" in line.replace(b"\\%", b""):
            continue
        options = next(group for group in match.groups() if group is not None)
        label = options.decode("ascii", "replace").split(",")[-1].strip().lower()  # the last option applies
        return _LABELS.get(label, label)
    return None


def decode_file(data: bytes, declared: str | None = None) -> Decoded:
    r"""Decodes a source file. ``declared`` is the encoding to use if the file itself declares none.

    >>> decode_file("José".encode("latin-1")).text, decode_file("José".encode()).text
    ('José', 'José')
    """
    return _decode(data, declared_encoding(data) or declared)


def decode_project(files: Mapping[str, bytes]) -> dict[str, Decoded]:
    """Decodes every file of a paper. The encoding that the file itself declares is used.

    If a file declares no encoding, the encoding that another file declares is used, preferably that of a main file. If
    all files are valid UTF-8, declarations are ignored.
    """
    if all(map(_is_utf8, files.values())):  # valid UTF-8 overrides any declaration
        return {path: decode(data) for path, data in files.items()}
    labels = {path: declared_encoding(data) for path, data in files.items()}
    by_rank = sorted(
        (path for path in files if labels[path]), key=lambda path: (b"\\document" not in files[path], path)
    )
    of_project = labels[by_rank[0]] if by_rank else None
    return {path: _decode(data, labels[path] or of_project) for path, data in files.items()}


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _decode(data: bytes, label: str | None) -> Decoded:
    return decode(data, declared=() if label is None else (label,))
