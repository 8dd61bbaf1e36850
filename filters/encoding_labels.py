"""Maps labels of encodings to Python's codecs. Pages, headers and TeX files declare their encodings by such labels."""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

_CODECS = frozenset((
    "ascii", "utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "cp1252", "cp1250", "cp1251", "cp1253",
    "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874", "iso8859-2", "iso8859-3", "iso8859-4", "iso8859-5",
    "iso8859-6", "iso8859-7", "iso8859-8", "iso8859-10", "iso8859-13", "iso8859-14", "iso8859-15", "iso8859-16",
    "koi8-r", "koi8-u", "koi8-t", "kz1048", "ptcp154", "mac-roman", "mac-latin2", "mac-cyrillic", "mac-greek",
    "mac-turkish", "mac-iceland", "cp437", "cp737", "cp775", "cp850", "cp852", "cp855", "cp857", "cp858", "cp860",
    "cp861", "cp862", "cp863", "cp864", "cp865", "cp866", "cp869", "cp1125", "cp720", "hp-roman8", "gb18030",
    "big5hkscs", "cp932", "euc_jp", "cp949", "johab", "iso2022_jp", "iso2022_jp_2", "iso2022_kr", "hz",
))  # fmt: skip
_MEANT = {
    "iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874", "tis-620": "cp874", "gb2312": "gb18030",
    "gbk": "gb18030", "big5": "big5hkscs", "cp950": "big5hkscs", "shift_jis": "cp932", "euc_kr": "cp949",
    "utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le", "shift_jis_2004": "cp932",
    "shift_jisx0213": "cp932", "euc_jis_2004": "euc_jp", "euc_jisx0213": "euc_jp", "iso2022_jp": "iso2022_jp_2",
}  # fmt: skip
"""Maps codecs to the codecs that browsers use instead, which have more characters (WHATWG, Encoding, section 4.2)."""
_ALIASES = {
    "windows874": "cp874", "dos874": "cp874", "xmaccyrillic": "mac-cyrillic", "xmacukrainian": "mac-cyrillic",
    "xmacroman": "mac-roman", "macintosh": "mac-roman", "applemac": "mac-roman", "macroman": "mac-roman",
    "macce": "mac-latin2", "xmacce": "mac-latin2", "maccyr": "mac-cyrillic", "ansinew": "cp1252", "ansi": "cp1252",
    "xsjis": "shift_jis", "xshiftjis": "shift_jis", "xeucjp": "euc_jp", "xgbk": "gbk", "xeuckr": "euc_kr",
    "koi8": "koi8-r", "koi": "koi8-r", "koi8ru": "koi8-u", "dos866": "cp866", "iso88598i": "iso8859-8",
    "iso88598e": "iso8859-8", "iso88596i": "iso8859-6", "iso88596e": "iso8859-6", "logical": "iso8859-8",
    "visual": "iso8859-8", "unicode": "utf-16", "ucs2": "utf-16", "utf8x": "utf-8", "utf8mb4": "utf-8",
    "unicode11utf8": "utf-8", "xunicode20utf8": "utf-8", "xcp1250": "cp1250", "xcp1251": "cp1251", "xcp1252": "cp1252",
    "big5eten": "big5", "xxbig5": "big5", "cnbig5": "big5", "gb231280": "gbk", "latin9": "iso8859-15",
    "windows31j": "cp932", "isolatin1": "iso8859-1", "isolatin2": "iso8859-2", "iso88591windows1252": "cp1252",
}  # fmt: skip
"""Maps labels that Python does not know to codecs. The labels are written without punctuation."""
_NUMBERED = re.compile(r"(?:win|windows|cp|ms|ibm|dos|codepage|xcp|xwindows)(\d{3,4})")


@lru_cache(maxsize=1024)
def python_codec(label: str) -> str | None:
    """Returns Python's canonical name of the codec that browsers use for a label. Returns None if the label is unknown.

    >>> python_codec("Latin-1"), python_codec(" win-1251 "), python_codec("ISO_8859-2"), python_codec("rot13")
    ('cp1252', 'cp1251', 'iso8859-2', None)
    """
    if len(label) > 60:
        return None
    word = label.strip().strip("\"'").strip().lower()
    bare = re.sub(r"[^a-z0-9]", "", word)
    number = _NUMBERED.fullmatch(bare)
    for name in (_ALIASES.get(bare), f"cp{number[1]}" if number else None, word, bare):
        if not name:
            continue
        try:
            codec = codecs.lookup(name).name
        except (LookupError, ValueError):  # ValueError: the label contains a NUL or is not ASCII
            continue
        codec = _MEANT.get(codec, codec)
        if codec in _CODECS:
            return codec
    return None
