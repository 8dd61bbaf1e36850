"""Makes the CommonCrawl part: three WET files and a WARC of two crawls, with the faults of real crawls.

As on real sites, pages contain the navigation and notices of their site. Some pages are crawled twice, and some have
two URLs. Some are in languages other than English, or are gibberish, chatter or advertising. Some records are broken.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from . import material, pages
from .containers import gz, pick, record_id, sha1_digest, warc_record, write
from .pages import Page

GLOBS = ("*/segments/*/wet/*.warc.wet.gz", "*/segments/*/warc/*.warc.gz")

FIRST_CRAWL, SECOND_CRAWL = "CC-MAIN-2019-09", "CC-MAIN-2020-05"
FIRST_DATE, SECOND_DATE = "2019-02-16T07:21:{:02d}Z", "2020-01-18T11:40:{:02d}Z"
_STOCK_WORDS = "cheap best online free new top deals buy sale price discount review 2019 shipping order now"


@dataclass(frozen=True, slots=True)
class Dress:
    """Holds the navigation and the notices of a site, which appear on each of its pages."""

    above: tuple[str, ...]
    below: tuple[str, ...]

    def on(self, page: Page) -> Page:
        title, _, body = page.text.partition("\n")
        return replace(page, text="\n".join([title, *self.above, body, *self.below]))


def dresses() -> dict[str, Dress]:
    """Returns a dict of the sites' navigation and notices. The key is the host of a site."""
    found = {}
    for head, body in material.blocks("web", "boilerplate.txt"):
        above, _, below = body.partition("\n--\n")
        found[head["host"]] = Dress(tuple(above.splitlines()), tuple(below.splitlines()))
    return found


def dressed(found: Iterable[Page]) -> list[Page]:
    """Returns the pages with their site's navigation. If a site has no navigation, its pages get that of the entry
    ``*``.
    """
    known = dresses()
    return [known.get(page.url.split("/")[2], known["*"]).on(page) for page in found]


def own_pages(kind: str) -> list[Page]:
    """Returns the project's own pages of one kind: ``foreign``, ``casual`` or ``essays``."""
    return [
        Page(head["url"], body.partition("\n")[0], body)
        for path in material.files("web", kind)
        for head, body in material.blocks("web", kind, path.name)
    ]


def gibberish(num_pages: int) -> list[Page]:
    """Returns pages of keywords: English words in random order. The order is the same in every run."""
    words = sorted({word for page in own_pages("casual") for word in page.text.lower().split() if word.isalpha()})
    stock = _STOCK_WORDS.split()
    made = []
    for page in range(num_pages):
        lines = [f"{stock[page % len(stock)]} {words[pick(f'title {page}', len(words))]} online"]
        for line in range(24):
            chosen = (pick(f"{page} {line} {place}", 3 * len(words)) for place in range(26))
            lines.append(" ".join(words[n] if n < len(words) else stock[n % len(stock)] for n in chosen))
        made.append(Page(f"http://stuffed-{page % 7}.example/{page}.html", lines[0], "\n".join(lines)))
    return made


def real_pages() -> list[Page]:
    """Returns pages with real text: CPython's language reference, three quarters of its standard library, and the
    pipeline's largest dependencies.
    """
    library = [name for place, name in enumerate(pages.STDLIB_MODULES) if place % 4]
    return [
        *pages.bounded(pages.topics(), 600_000),
        *pages.bounded(pages.module_pages(library, "docs.python"), 900_000),
        *pages.bounded(pages.module_pages(pages.package_modules("numpy"), "numpy"), 550_000),
        *pages.bounded(pages.module_pages(pages.package_modules("apache_beam"), "beam"), 550_000),
        *pages.bounded(pages.module_pages(pages.package_modules("pyarrow"), "arrow"), 100_000),
    ]


def make(place: Path) -> None:
    """Writes the source into the folder ``place``."""
    real = dressed(real_pages())
    foreign, casual, essays = (dressed(own_pages(kind)) for kind in ("foreign", "casual", "essays"))
    junk = [*gibberish(25), *_thin_pages()]
    first = _shuffled([*real[: len(real) * 2 // 3], *casual, *junk, *foreign[::2]])
    second = _shuffled([*real[len(real) * 2 // 3 :], *essays, *foreign[1::2]])
    html, second = second[:40], second[40:]
    half = len(first) // 2
    wets = [
        (_wet_path(place, FIRST_CRAWL, 0), _wet(first[:half], FIRST_DATE, _cut_a_member)),
        (_wet_path(place, FIRST_CRAWL, 1), _wet(first[half:], FIRST_DATE, _lie_and_zero)),
        (_wet_path(place, SECOND_CRAWL, 0), _wet([*second, *_seen_again(first)], SECOND_DATE, _cut_the_end)),
    ]
    for path, data in wets:
        write(path, data)
    write(
        place / SECOND_CRAWL / "segments/1579250592261.1/warc/CC-MAIN-20200118052321-20200118080321-00001.warc.gz",
        warc(html),
    )


def wet_member(page: Page, date: str, *, language: str = "", length: int | None = None) -> bytes:
    """Returns a page as a member of a WET file. If ``language`` is given, the member has the header for the detected
    language, as in newer crawls.
    """
    block = page.text.encode()
    headers = [
        ("WARC-Target-URI", page.url),
        ("WARC-Date", date),
        ("WARC-Record-ID", record_id(f"{page.url} {date}")),
        ("WARC-Refers-To", record_id(f"{page.url} {date} response")),
        ("WARC-Block-Digest", sha1_digest(block)),
    ]
    if language:
        headers.append(("WARC-Identified-Content-Language", language))
    headers.append(("Content-Type", "text/plain"))
    return gz(warc_record("conversion", headers, block, length=length))


def wet_members(found: Sequence[Page], date: str, *, crawl: str) -> list[bytes]:
    """Returns the members of a WET file: a warcinfo record and the pages. If the crawl is from 2020 or later, the
    pages' headers contain the detected language.
    """
    info = f"Software-Info: sample\r\nisPartOf: {crawl}\r\nformat: WARC File Format 1.0\r\n".encode()
    stamp = date.format(0)
    head = [
        ("WARC-Date", stamp),
        ("WARC-Record-ID", record_id(f"{crawl} info")),
        ("Content-Type", "application/warc-fields"),
    ]
    language = "eng" if crawl >= SECOND_CRAWL else ""
    members = [gz(warc_record("warcinfo", head, info))]
    members += [wet_member(page, date.format(place % 60), language=language) for place, page in enumerate(found)]
    return members


def warc(found: Sequence[Page]) -> bytes:
    """Returns a WARC file with HTML responses in several encodings. The file also has requests, and responses without a
    usable page (such as a picture or a 404).
    """
    members = []
    for place, page in enumerate(found):
        date = SECOND_DATE.format(place % 60)
        head = [("WARC-Target-URI", page.url), ("WARC-Date", date)]
        ask = f"GET /{page.url.split('/', 3)[-1]} HTTP/1.1\r\nHost: {page.url.split('/')[2]}\r\n\r\n".encode()
        request = [
            *head,
            ("WARC-Record-ID", record_id(f"{page.url} request")),
            ("Content-Type", "application/http; msgtype=request"),
        ]
        members.append(gz(warc_record("request", request, ask)))
        payload, http = _http(place, html(page))
        response = [
            *head,
            ("WARC-Record-ID", record_id(f"{page.url} {date} response")),
            ("WARC-Payload-Digest", sha1_digest(payload)),
            ("Content-Type", "application/http; msgtype=response"),
        ]
        members.append(gz(warc_record("response", response, http)))
    members += [_odd_response(name, head, body) for name, head, body in _ODD_RESPONSES]
    return b"".join(members)


def html(page: Page) -> str:
    """Returns a page as HTML. The navigation, scripts and styles are outside of <main>, and each paragraph is on one
    line.
    """
    known = dresses()
    dress = known.get(page.url.split("/")[2], known["*"])
    lines = [line for line in page.text.splitlines()[1:] if line not in dress.above and line not in dress.below]
    body = "\n".join(
        f"<p>{_escaped(line)}</p>" if not line.startswith("  ") else f"<pre>{_escaped(line)}</pre>" for line in lines
    )
    nav = "".join(f"<li><a href='#'>{_escaped(line)}</a></li>" for line in dress.above)
    foot = "".join(f"<p>{_escaped(line)}</p>" for line in dress.below)
    return (
        f"<!DOCTYPE html>\n<html lang='en'><head><title>{_escaped(page.title)}</title>\n"
        "<style>body { font-family: serif }</style>"
        "<script>var visits = 1; if (visits < 2) { track('page'); }</script></head>\n"
        f"<body><nav><ul>{nav}</ul></nav>\n<!-- the page itself -->\n"
        f"<main><h1>{_escaped(page.title)}</h1>\n{body}\n</main>\n"
        f"<footer>{foot}</footer><noscript>Please enable JavaScript.</noscript></body></html>\n"
    )


_ODD_RESPONSES = (
    ("picture.png", "HTTP/1.1 200 OK\r\nContent-Type: image/png", b"\x89PNG\r\n\x1a\n" + bytes(range(256))),
    ("paper.pdf", "HTTP/1.1 200 OK\r\nContent-Type: application/pdf", b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"),
    ("gone.html", "HTTP/1.1 404 Not Found\r\nContent-Type: text/html", b"<html><body><h1>Not Found</h1></body></html>"),
    ("moved.html", "HTTP/1.1 301 Moved Permanently\r\nLocation: https://docs.python.example/", b""),
    ("empty.html", "HTTP/1.1 200 OK\r\nContent-Type: text/html", b""),
)


def _odd_response(name: str, head: str, body: bytes) -> bytes:
    url = f"https://odd.example/{name}"
    headers = [("WARC-Target-URI", url), ("WARC-Date", SECOND_DATE.format(0)), ("WARC-Record-ID", record_id(url))]
    headers.append(("Content-Type", "application/http; msgtype=response"))
    return gz(warc_record("response", headers, f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body))


def _http(place: int, page: str) -> tuple[bytes, bytes]:
    """Returns (payload, HTTP message). The payload is the page as bytes. The message is what a server sends for this
    page.

    There are five forms of message. They differ in encoding, transfer or compression. The number ``place`` chooses one
    of them.
    """
    way = ("plain", "latin1", "meta", "chunked", "gzip")[place % 5]
    kind = "text/html; charset=UTF-8"
    payload = page.encode()
    if way == "latin1":
        kind, payload = "text/html; charset=ISO-8859-1", page.encode("iso-8859-1", "xmlcharrefreplace")
    elif way == "meta":
        kind = "text/html"
        payload = page.replace("<head>", '<head><meta charset="windows-1252">').encode("cp1252", "xmlcharrefreplace")
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n"
    if way == "chunked":
        cuts = [payload[start : start + 4096] for start in range(0, len(payload), 4096)]
        body = b"".join(f"{len(cut):x}\r\n".encode() + cut + b"\r\n" for cut in cuts) + b"0\r\n\r\n"
        return payload, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + body
    if way == "gzip":
        packed = gz(payload)
        return payload, f"{head}Content-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode() + packed
    return payload, f"{head}Content-Length: {len(payload)}\r\n\r\n".encode() + payload


def _seen_again(found: Sequence[Page]) -> list[Page]:
    """Returns twelve pages of the first crawl again. Six of them are unchanged, three have a new URL, and three have a
    changed text."""
    again = [page for page in found if page.url.startswith("https://docs.python.example/reference/")]
    same = again[0:6]
    mirrors = [replace(page, url=page.url.replace("docs.python", "mirror-docs")) for page in again[6:9]]
    changed = [replace(page, text=page.text + "\nThis page was revised in January.") for page in again[9:12]]
    return [*same, *mirrors, *changed]


def _thin_pages() -> list[Page]:
    """Returns pages with very few words, and one page without any."""
    thin = [
        Page(f"http://thin.example/{n}", "Untitled", f"Untitled\nUnder construction, version {n}.") for n in range(6)
    ]
    return [*thin, Page("http://thin.example/empty", "", "")]


def _shuffled(found: Sequence[Page]) -> list[Page]:
    return sorted(found, key=lambda page: pick(page.url, 1 << 62))


def _wet_path(place: Path, crawl: str, number: int) -> Path:
    segment, hour = ("1550247479967.16", "20190216064257-20190216090257")
    if crawl == SECOND_CRAWL:
        segment, hour = ("1579250592261.1", "20200118052321-20200118080321")
    return place / crawl / "segments" / segment / "wet" / f"CC-MAIN-{hour}-{number:05d}.warc.wet.gz"


def _wet(found: Sequence[Page], date: str, damage: Callable[[list[bytes]], list[bytes]]) -> bytes:
    crawl = FIRST_CRAWL if date == FIRST_DATE else SECOND_CRAWL
    return b"".join(damage(wet_members(found, date, crawl=crawl)))


def _cut_a_member(members: list[bytes]) -> list[bytes]:
    """Truncates a record in the middle of the file. The next record begins directly after it."""
    middle = len(members) // 2
    return [*members[:middle], members[middle][: len(members[middle]) // 2], *members[middle + 1 :]]


def _lie_and_zero(members: list[bytes]) -> list[bytes]:
    """Damages three records. The first one's header states too many bytes, and the second one's too few. In the third,
    forty bytes are set to zero.
    """
    longer, shorter, zeroed = len(members) // 4, len(members) // 2, 3 * len(members) // 4
    members = list(members)
    for place, change in ((longer, 700), (shorter, -500)):
        head, _, rest = gzip.decompress(members[place]).partition(b"Content-Length: ")
        number, _, rest = rest.partition(b"\r\n")
        members[place] = gz(head + b"Content-Length: %d\r\n" % (int(number) + change) + rest)
    hurt = members[zeroed]
    middle = len(hurt) // 2
    members[zeroed] = hurt[: middle - 20] + bytes(40) + hurt[middle + 20 :]
    return members


def _cut_the_end(members: list[bytes]) -> list[bytes]:
    """Truncates the last record of the file."""
    return [*members[:-1], members[-1][: len(members[-1]) * 2 // 3]]


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
