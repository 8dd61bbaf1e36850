"""Makes the books part of the sample: books in Gutenberg's layout, a second edition, an omnibus, and other forms in
which books are published.

The lines that mark the start and the end of a book are copied from real Gutenberg files. The books themselves, and the
headers and footers around these lines, were written for this project.
"""

from __future__ import annotations

import io
import re
import textwrap
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from . import material
from .containers import json_lines, tar, write

GLOBS = ("gutenberg/**/*.txt", "gutenberg/*.zip", "pg19/*.jsonl.zst", "books3/*.txt", "books3/*.tar.gz")

_HEADER = """The Project Gutenberg eBook of {title}, by {author}

This file is part of a sample. It has the layout of a Project Gutenberg
eBook, so that the steps that take such a layout away have something to do.
It may be copied and used under the licence of the software it came with.

Title: {title}

Author: {author}

Release Date: March 3, 2020 [eBook #{number}]
[Most recently updated: May 12, 2022]

Language: English

Character set encoding: {charset}

*** START OF {the} PROJECT GUTENBERG EBOOK {shout} ***

"""
_CREDITS = "\nProduced by the writers of the sample.\n"
_FOOTER = """

*** END OF {the} PROJECT GUTENBERG EBOOK {shout} ***

Updated editions will replace the previous one. The old editions will be
renamed.

Section 1. General terms of use

This is where a Project Gutenberg eBook has some three hundred lines of
licence. The words Project Gutenberg are a registered trademark of the
foundation of that name, with which this file has nothing to do.
"""
_TYPEWRITER = {0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"', 0x2014: "--", 0x2013: "-", 0x2026: "..."}
_CHANGED_WORDS = {"Presently": "Soon", "upon": "on", "grey": "gray", "towards": "toward"}


@dataclass(frozen=True, slots=True)
class Book:
    """Holds a book written for this project. Each paragraph is one line; blank lines separate paragraphs."""

    head: dict[str, Any]
    text: str

    def wrapped(self, width: int) -> str:
        """Returns the text in lines of at most ``width`` characters."""
        paragraphs = re.split(r"\n{2,}", self.text)
        return "\n\n".join(
            textwrap.fill(each, width, break_long_words=False, break_on_hyphens=False) for each in paragraphs
        )


def books() -> dict[str, Book]:
    """Returns a dict of the books. The key is the name of a book's file without its ending."""
    found = {}
    for path in material.files("books"):
        for head, body in material.blocks("books", path.name):
            found[path.stem] = Book(head, body)
    return found


def make(place: Path) -> None:
    """Writes the source into the folder ``place``."""
    library = sorted(books().items(), key=lambda each: int(each[1].head["number"]))
    novel, walk, treatise, tale, essay, letters = (book for _, book in library)
    accented = gutenberg(novel, charset="UTF-8").replace("\n", "\r\n")
    write(place / "gutenberg/90101/90101-0.txt", ("\ufeff" + accented).encode())
    write(place / "gutenberg/90101/old/90101.txt", second_edition(novel).encode("ascii"))
    write(place / "gutenberg/90102/90102-8.txt", latin1_edition(walk))
    write(place / "gutenberg/90103.zip", _zip([("90103/90103-0.txt", gutenberg(treatise, charset="UTF-8").encode())]))
    write(place / "gutenberg/90107/90107.txt", _directory_listing().encode())
    write(place / "gutenberg/90109/90109-0.txt", omnibus(walk, tale).encode())
    rows = json_lines([_row(tale)]) + b'{"text": "cut of\n'
    write(place / "pg19/books-00.jsonl.zst", zstandard.ZstdCompressor(level=10).compress(rows))
    write(place / "books3/one-line.txt", " ".join(essay.text.split()).encode())
    fragment = letters.text[-600:].encode()
    members = [("books3/fragment.txt", fragment), ("books3/letters.txt", letters.wrapped(80).encode())]
    write(place / "books3/books.tar.gz", tar(members, compress=True))


def gutenberg(book: Book, *, charset: str, width: int = 72, the: str = "THE") -> str:
    """Returns a book with Gutenberg's header and footer."""
    names = {**book.head, "charset": charset, "shout": str(book.head["title"]).upper(), "the": the}
    return _HEADER.format(**names) + _CREDITS + "\n\n" + book.wrapped(width) + _FOOTER.format(**names)


def latin1_edition(book: Book) -> bytes:
    """Returns a book in Latin-1, with straight quotation marks and with accents."""
    return gutenberg(Book(book.head, book.text.translate(_TYPEWRITER)), charset="ISO-8859-1", width=68).encode(
        "iso-8859-1"
    )


def second_edition(book: Book) -> str:
    """Returns an older edition of a book: in ASCII, with narrow lines and a different spelling of a few words."""
    text = book.text
    for old, new in _CHANGED_WORDS.items():
        text = re.sub(rf"\b{old}\b", new, text)
    plain = (
        text.translate(_TYPEWRITER)
        .replace("é", "e")
        .replace("è", "e")
        .replace("ï", "i")
        .replace("ö", "o")
        .replace("°", " degrees")
    )
    return gutenberg(Book(book.head, plain), charset="ASCII", width=60, the="THIS")


def omnibus(whole: Book, other: Book) -> str:
    """Returns a volume that contains a whole book and a part of another book."""
    head = {"title": f"{whole.head['title']} and Other Pieces", "author": whole.head["author"], "number": 90109}
    paragraphs = other.text.split("\n\n")
    text = f"{whole.text}\n\n{other.head['title'].upper()}\n\n" + "\n\n".join(paragraphs[: len(paragraphs) // 3])
    return gutenberg(Book(head, text), charset="UTF-8")


def _row(book: Book) -> dict[str, Any]:
    return {
        "text": book.text,
        "meta": {"short_book_title": book.head["title"], "publication_date": book.head.get("year", 2020)},
    }


def _zip(members: Sequence[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _directory_listing() -> str:
    """Returns the listing of a folder. The sample stores it under the name of a book. A run must recognise that it is
    not a book.
    """
    lines = ["total 20480"]
    for number in range(90101, 90161):
        lines.append(f"-rw-r--r--   1 1000     100      {number * 7 % 400_000 + 20_000:>8} Mar  3  2020 {number}-0.txt")
        lines.append(f"-rw-r--r--   1 1000     100      {number * 3 % 150_000 + 9_000:>8} Mar  3  2020 {number}-0.zip")
    return "\n".join(lines) + "\n"
