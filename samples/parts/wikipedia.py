"""Makes the Wikipedia part of the sample: one dump per language. The English dump is a multistream dump with an
index.
"""

from __future__ import annotations

import bz2
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from . import material
from .containers import write

GLOBS = ("*wiki-*-pages-articles*.xml*",)

DUMP_DATE = "20220620"
PAGES_IN_A_STREAM = 6
_NAMESPACES = {
    "de": ("Spezial", "Diskussion", "Datei", "Vorlage", "Kategorie"),
    "fr": ("Spécial", "Discussion", "Fichier", "Modèle", "Catégorie"),
    "es": ("Especial", "Discusión", "Archivo", "Plantilla", "Categoría"),
    "it": ("Speciale", "Discussione", "File", "Template", "Categoria"),
    "ru": ("Служебная", "Обсуждение", "Файл", "Шаблон", "Категория"),
    "nl": ("Speciaal", "Overleg", "Bestand", "Sjabloon", "Categorie"),
    "pl": ("Specjalna", "Dyskusja", "Plik", "Szablon", "Kategoria"),
    "sv": ("Special", "Diskussion", "Fil", "Mall", "Kategori"),
    "eo": ("Speciala", "Diskuto", "Dosiero", "Ŝablono", "Kategorio"),
    "en": ("Special", "Talk", "File", "Template", "Category"),
}


@dataclass(frozen=True, slots=True)
class WikiPage:
    """Describes one page of a dump."""

    head: dict[str, Any]
    text: str

    def xml(self) -> str:
        """Returns the page element, as MediaWiki's export writes it."""
        redirect = f"    <redirect title={quoteattr(self.head['redirect'])} />\n" if "redirect" in self.head else ""
        number = int(self.head["id"])
        model = "wikitext" if not self.head["title"].endswith(".css") else "sanitized-css"
        return (
            f"  <page>\n    <title>{escape(self.head['title'])}</title>\n    <ns>{self.head.get('ns', 0)}</ns>\n"
            f"    <id>{number}</id>\n{redirect}    <revision>\n      <id>{1_090_000_000 + number}</id>\n"
            f"      <parentid>{1_080_000_000 + number}</parentid>\n"
            f"      <timestamp>2022-06-{1 + number % 19:02d}T08:15:30Z</timestamp>\n"
            f"      <contributor>\n        <username>Sample</username>\n"
            f"        <id>{number % 97 + 1}</id>\n      </contributor>\n"
            f"      <model>{model}</model>\n      <format>text/x-wiki</format>\n"
            f'      <text bytes="{len(self.text.encode())}" xml:space="preserve">{escape(self.text)}</text>\n'
            f"      <sha1>{number:031d}</sha1>\n    </revision>\n  </page>\n"
        )


def make(place: Path) -> None:
    """Writes the source into the folder ``place``."""
    for path in material.files("wikipedia"):
        language = path.stem
        found = [WikiPage(head, body) for head, body in material.blocks("wikipedia", path.name)]
        name = f"{language}wiki-{DUMP_DATE}-pages-articles"
        if language == "en":
            dump, index = _multistream(language, found)
            write(place / f"{name}-multistream.xml.bz2", dump)
            write(place / f"{name}-multistream-index.txt.bz2", index)
        elif language == "it":
            write(place / f"{name}.xml", (_head(language) + "".join(page.xml() for page in found) + _FOOT).encode())
        else:
            data = (_head(language) + "".join(page.xml() for page in found) + _FOOT).encode()
            write(place / f"{name}.xml.bz2", bz2.compress(data))


_FOOT = "</mediawiki>\n"


def _head(language: str) -> str:
    """Returns the part of a dump before the first page."""
    keys = dict(zip((-1, 1, 6, 10, 14), _NAMESPACES[language], strict=True))
    spaces = "".join(
        f'      <namespace key="{key}" case="first-letter">{name}</namespace>\n' for key, name in keys.items()
    )
    return (
        '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation='
        '"http://www.mediawiki.org/xml/export-0.10/ http://www.mediawiki.org/xml/export-0.10.xsd" '
        f'version="0.10" xml:lang="{language}">\n  <siteinfo>\n    <sitename>Wikipedia</sitename>\n'
        f"    <dbname>{language}wiki</dbname>\n    <base>https://{language}.wikipedia.org/wiki/</base>\n"
        "    <generator>MediaWiki 1.39.0-wmf.16</generator>\n    <case>first-letter</case>\n    <namespaces>\n"
        f'      <namespace key="0" case="first-letter" />\n{spaces}    </namespaces>\n  </siteinfo>\n'
    )


def _multistream(language: str, found: Sequence[WikiPage]) -> tuple[bytes, bytes]:
    """Returns a multistream dump and its index.

    The dump has one bzip2 stream for the text before the first page, one for every few pages, and one for the end tag.
    The index has one line per page, with the offset of the page's stream.
    """
    dump = bz2.compress(_head(language).encode())
    index = []
    for start in range(0, len(found), PAGES_IN_A_STREAM):
        chunk = found[start : start + PAGES_IN_A_STREAM]
        index += [f"{len(dump)}:{page.head['id']}:{page.head['title']}\n" for page in chunk]
        dump += bz2.compress("".join(page.xml() for page in chunk).encode())
    return dump + bz2.compress(_FOOT.encode()), bz2.compress("".join(index).encode())
