"""Judges cleaned Wikipedia pages against the raw dump. Imports nothing of the project.

Reports three measures per language:

- leftover: the share of pages whose text contains wikitext (``[[ ]] {{ }} <ref <!-- {|``). Signs that a reader of the
  page sees (inside ``<nowiki>``, ``<pre>``, ``<syntaxhighlight>``) do not count;
- junk: the share of pages whose text contains remains of a picture, table or style (``thumb|``, ``200px``,
  ``colspan=``);
- kept: the share of the words of the dump's prose that are also in the text. A rough parser (:func:`prose_words`) finds
  the prose: all paragraphs outside of templates, tables, pictures, references and lists.

Run: ``python benchmarks/judges/wikipedia.py CLEAN_FOLDER DUMP...`` with the cleaned documents as Parquet (columns
``page_id``, ``language``, ``text``).
"""

from __future__ import annotations

import argparse
import bz2
import re
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

LEFTOVERS = ("[[", "]]", "{{", "}}", "<ref", "<!--", "{|")
JUNK = re.compile(
    r"\b(?:thumb|miniatur|miniature|vignette|upright|frameless|мини|справа|жолоб)\|"
    r"|\b[0-9]{2,4}px\b|(?:style|colspan|rowspan|bgcolor|align|cellpadding|class)\s*=\s*[\"0-9a-z]|^\s*[|!]\s|\|\||!!"
    r"|__[A-Z]{3,}__|&nbsp;|''",
    re.MULTILINE,
)
_WORD = re.compile(r"[^\W\d_]{2,}")
_RAW = re.compile(r"<(nowiki|pre|math|source|syntaxhighlight|code|chem)\b[^<>]*>.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_REF = re.compile(r"<ref\b[^<>]*?/>|<ref\b[^<>]*>.*?</ref\s*>", re.DOTALL | re.IGNORECASE)
_GALLERY = re.compile(r"<(gallery|timeline|imagemap|table|references)\b[^<>]*>.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_LINK = re.compile(r"\[\[([^\[\]|]*)(\|[^\[\]]*)?\]\]")
_OUTER_LINK = re.compile(r"\[(?:https?:)?//[^\s\]]*([^\]\n]*)\]")
_FILE = re.compile(r"\[\[[^\[\]|:]{2,20}:[^\[\]|]*(?:\||\]\])")
_LEAD = set("*#:;|!={}<")


@dataclass
class Count:
    """Counts the pages of one language, and the faults in them."""

    num_pages: int = 0
    num_missing: int = 0
    with_leftovers: list[str] = field(default_factory=list)
    with_junk: list[str] = field(default_factory=list)
    kept: list[float] = field(default_factory=list)


def without_nested(text: str, opening: str, closing: str) -> str:
    """Removes everything between balanced marks. Text after a mark that is never closed is kept.

    >>> without_nested("a {{b {{c}} d}} e", "{{", "}}")
    'a  e'
    """
    out: list[str] = []
    depth = 0
    outer: list[int] = []
    for piece in re.split(f"({re.escape(opening)}|{re.escape(closing)})", text):
        if piece == opening:
            if depth == 0:
                outer.append(len(out))
            depth += 1
            out.append(piece)
        elif piece == closing and depth:
            depth -= 1
            out.append(piece)
            if depth == 0:
                del out[outer.pop() :]
        else:
            out.append(piece)
    return "".join(out)


def prose_words(wikitext: str) -> Counter[str]:
    """Counts the words in a page's paragraphs. Templates, tables, pictures, lists and headings are left out."""
    text = re.sub(r"<!--.*?-->", "", wikitext, flags=re.DOTALL)
    text = _REF.sub(" ", _GALLERY.sub(" ", _RAW.sub(" ", text)))
    text = without_nested(text, "{{", "}}")
    text = without_nested(re.sub(r"^[ \t:]*\{\|", "\x01", text, flags=re.M), "\x01", "\n|}")
    text = _without_colon_links(text)
    text = _LINK.sub(lambda match: (match[2] or match[1]).lstrip("|"), text)
    text = re.sub(r"<[^<>]*>", " ", _OUTER_LINK.sub(r"\1", text)).replace("&nbsp;", " ")
    lines = (line for line in text.split("\n") if line.strip() and line[0] not in _LEAD and "http" not in line)
    text = re.sub(r"&#?\w+;", " ", "\n".join(lines)).replace("''", "")
    return Counter(_WORD.findall(text.replace("__", " ").casefold()))


def _without_colon_links(text: str) -> str:
    """Removes links such as ``[[File:A.jpg|words]]``, whose target begins with a namespace or language and a colon.
    Links inside the words of such a link are removed too.
    """
    out: list[str] = []
    position = 0
    while match := _FILE.search(text, position):
        out.append(text[position : match.start()])
        depth, position = 0, match.start()
        for mark in re.finditer(r"\[\[|\]\]", text[match.start() : match.start() + 5000]):
            depth += 1 if mark[0] == "[[" else -1
            position = match.start() + mark.end()
            if depth == 0:
                break
    out.append(text[position:])
    return "".join(out)


def kept_share(wikitext: str, text: str) -> float | None:
    """Returns the share of the wikitext's prose words that the text contains. Returns None if the prose has fewer than
    20 words.
    """
    wanted = prose_words(wikitext)
    if wanted.total() < 20:
        return None
    return (wanted & Counter(_WORD.findall(text.casefold()))).total() / wanted.total()


def leftovers(text: str, wikitext: str = "") -> list[str]:
    """Returns the signs of wikitext (such as ``[[``) in a text. Signs that the page shows to its readers do not count:
    those inside ``<nowiki>``, ``<pre>``, ``<math>``, ``<code>`` and similar tags.
    """
    shown = "".join(match[0] for match in _RAW.finditer(wikitext))
    return [sign for sign in LEFTOVERS if sign in text and sign not in shown]


def junk(text: str) -> list[str]:
    """Returns the remains of pictures, tables and styles in a text."""
    return [match[0].strip() for match in JUNK.finditer(text)]


def raw_pages(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yields (page id, title, wikitext) of each article in a dump. Skips redirects. If the file is broken, stops at the
    fault.
    """
    with bz2.open(path) if path.suffix == ".bz2" else path.open("rb") as stream:
        parser: Any = ElementTree.XMLPullParser(("end",))
        try:
            while data := stream.read(1 << 20):
                parser.feed(data)
                for _, element in parser.read_events():
                    if element.tag.endswith("}page"):
                        yield from _article(element)
                        element.clear()
        except (ElementTree.ParseError, OSError, EOFError) as error:
            print(f"{path}: {error}", file=sys.stderr)


def _article(page: ElementTree.Element) -> Iterator[tuple[int, str, str]]:
    space = page.tag.removesuffix("page")
    if page.findtext(f"{space}ns", "0") != "0" or page.find(f"{space}redirect") is not None:
        return
    revisions = page.findall(f"{space}revision")
    newest = max(revisions, key=lambda revision: revision.findtext(f"{space}timestamp", ""))
    text = newest.findtext(f"{space}text") or ""
    if text.strip() and not text.lstrip().upper().startswith("#REDIRECT"):
        yield int(page.findtext(f"{space}id", "0")), page.findtext(f"{space}title", ""), text


def judge_page(count: Count, title: str, wikitext: str, text: str | None) -> None:
    """Judges one page, and adds the result to the counts of its language."""
    count.num_pages += 1
    if text is None:
        count.num_missing += 1
        return
    if leftovers(text, wikitext):
        count.with_leftovers.append(title)
    if junk(text):
        count.with_junk.append(title)
    share = kept_share(wikitext, text)
    if share is not None:
        count.kept.append(share)


def table(counts: dict[str, Count]) -> str:
    """Returns the counts as text, one line per language."""
    lines = ["language  pages  missing  leftover      junk      kept, median   kept, lowest"]
    for language, count in sorted(counts.items()):
        judged = max(1, count.num_pages - count.num_missing)
        median = f"{statistics.median(count.kept):12.2%}" if count.kept else " " * 12
        lowest = f"{min(count.kept):12.2%}" if count.kept else ""
        lines.append(
            f"{language:8}  {count.num_pages:5}  {count.num_missing:7}  {len(count.with_leftovers) / judged:8.2%}  "
            f"{len(count.with_junk) / judged:8.2%}  {median}   {lowest}"
        )
    return "\n".join(lines)


def main() -> None:
    """Judges a folder of cleaned documents against the dumps they came from."""
    import pyarrow.parquet as pq

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clean", type=Path)
    parser.add_argument("dumps", type=Path, nargs="+")
    args = parser.parse_args()
    cleaned = pq.read_table(args.clean, columns=["page_id", "language", "text"]).to_pylist()
    texts = {(row["language"], row["page_id"]): row["text"] for row in cleaned}
    counts: dict[str, Count] = defaultdict(Count)
    for dump in args.dumps:
        name = re.search(r"([a-z]+)wiki", dump.name)
        language = name[1] if name else "en"
        for page_id, title, wikitext in raw_pages(dump):
            judge_page(counts[language], title, wikitext, texts.get((language, page_id)))
    print(table(counts))
    for language, count in sorted(counts.items()):
        for title in count.with_leftovers:
            print(f"leftover: {language} {title}")


if __name__ == "__main__":
    main()
