"""Tests that the sample has every fault that ``samples/material/FAULTS.md`` lists. Uses none of the pipeline's code."""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import zstandard

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
SOURCES = ["common_crawl", "c4", "github", "wikipedia", "books", "arxiv", "stack_exchange"]
_ROW = re.compile(r"^\| (\w+) \| (" + "|".join(SOURCES) + r") \|", re.MULTILINE)
FAULTS = _ROW.findall((SAMPLES / "material" / "FAULTS.md").read_text("utf-8"))
Sample = Any
"""The class ``Sample`` in conftest.py, which cannot be imported here."""


def blocks(path: Path) -> list[dict[str, Any]]:
    heads = (part.partition("\n")[0] for part in ("\n" + path.read_text("utf-8")).split("\n@@ ")[1:])
    return [json.loads(head) for head in heads]


def words_of(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[place : place + 5]) for place in range(len(words) - 4)}


def overlap(one: str, other: str) -> float:
    first, second = words_of(one), words_of(other)
    return len(first & second) / min(len(first), len(second))


TIDEWATER = "larkspur/tidewater"
MIRROR = "mirrors/tidewater-mirror"


class Checks:
    """Has one method per fault in FAULTS.md. The method has the name of the fault."""

    def cut_member(self, s: Sample) -> None:
        assert s.wets[0].num_broken == 1
        assert not s.wets[0].members[len(s.wets[0].members) // 2][1]

    def lying_lengths(self, s: Sample) -> None:
        assert s.wets[1].num_lying() == 2
        assert s.wets[0].num_lying() == 0

    def zeroed_bytes(self, s: Sample) -> None:
        assert s.wets[1].num_broken >= 1
        assert s.wets[1].members[-1][1]

    def cut_end(self, s: Sample) -> None:
        assert s.wets[2].num_broken == 1
        assert not s.wets[2].members[-1][1]

    def equal_digests(self, s: Sample) -> None:
        first = {d for wet in s.wets[:2] for d in wet.headers("WARC-Block-Digest")}
        assert len(first & set(s.wets[2].headers("WARC-Block-Digest"))) >= 5

    def changed_since(self, s: Sample) -> None:
        first = {**s.wets[0].texts(), **s.wets[1].texts()}
        changed = [url for url, text in s.wets[2].texts().items() if url in first and first[url] != text]
        assert len(changed) >= 2

    def boilerplate(self, s: Sample) -> None:
        texts = [text for wet in s.wets for text in wet.texts().values()]
        assert sum("This site uses cookies to remember which theme you chose." in text for text in texts) > 50

    def gibberish(self, s: Sample) -> None:
        assert sum("stuffed-" in url for wet in s.wets for url in wet.texts()) >= 20

    def chatter(self, s: Sample) -> None:
        urls = {url for wet in s.wets for url in wet.texts()}
        casual = {h["url"] for p in (SAMPLES / "material/web/casual").iterdir() for h in blocks(p)}
        assert len(casual & urls) >= 15

    def foreign_pages(self, s: Sample) -> None:
        urls = {url for wet in s.wets for url in wet.texts()} | set(s.warc.headers("WARC-Target-URI"))
        foreign = {h["url"] for p in (SAMPLES / "material/web/foreign").iterdir() for h in blocks(p)}
        assert len(foreign & urls) >= 8

    def thin_pages(self, s: Sample) -> None:
        thin = [text for wet in s.wets for url, text in wet.texts().items() if "thin.example" in url]
        assert len(thin) >= 5
        assert max(map(len, thin)) < 300

    def odd_responses(self, s: Sample) -> None:
        http = b"".join(s.warc.records)
        for sign in (b"image/png", b"application/pdf", b"404 Not Found", b"301 Moved"):
            assert sign in http

    def http_forms(self, s: Sample) -> None:
        http = b"".join(s.warc.records)
        for sign in (b"Transfer-Encoding: chunked", b"Content-Encoding: gzip", b"charset=ISO-8859-1", b"windows-1252"):
            assert http.count(sign) >= 3

    def bad_json_lines(self, s: Sample) -> None:
        bad = 0
        for line in filter(None, s.c4_lines[0]):
            try:
                bad += not {"text", "url"} <= set(json.loads(line.decode()))
            except ValueError:
                bad += 1
        assert bad == 4

    def same_url_newer(self, s: Sample) -> None:
        rows = [json.loads(line) for line in [*s.c4_lines[0][:20], *s.c4_lines[1]] if line.startswith(b'{"text": "')]
        urls = [row["url"] for row in rows]
        assert len(urls) - len(set(urls)) == 4
        assert "http://www.harbour-radio.example/schedule-notes/" in s.c4_wets[1].texts()
        assert "https://ferrymuseum.example/visit" in s.c4_wets[0].texts()
        assert "https://ferrymuseum.example/visit" in s.c4_wets[1].texts()

    def c4_rules(self, s: Sample) -> None:
        own = "\n".join(text for url, text in s.c4_wets[0].texts().items() if "packages.example" not in url).lower()
        for sign in (
            "lorem ipsum",
            "{",
            "javascript",
            "privacy policy",
            "terms of use",
            "uses cookies",
            "geschält",
            "...",
        ):
            assert sign in own

    def shared_line(self, s: Sample) -> None:
        texts = s.c4_wets[0].texts()
        assert texts["https://ferrymuseum.example/visit"].count("A small tea room") == 1
        assert texts["https://ferrymuseum.example/history"].count("A small tea room") == 1

    def too_long_page(self, s: Sample) -> None:
        texts = s.c4_wets[0].texts()
        assert len(texts["https://odd.example/endless"]) > 1_000
        assert len(texts["https://odd.example/readings"]) > 190_000

    def cut_c4(self, s: Sample) -> None:
        assert s.c4_wets[0].num_broken == 1
        assert not s.c4_wets[0].members[-1][1]

    def turned_away(self, s: Sample) -> None:
        assert s.licences["gnu-minded/spanner"] == "gpl-3.0"
        assert s.licences["free-for-all/notes"] == "cc0-1.0"
        assert "python/cpython" not in s.licences
        assert any(row["repo_name"] == "python/cpython" for row in s.files)

    def minified(self, s: Sample) -> None:
        assert "\n" not in s.file(TIDEWATER, "web/dist/chart.min.js")["content"]

    def generated(self, s: Sample) -> None:
        assert "DO NOT EDIT" in s.file(TIDEWATER, "gen/tide.pb.go")["content"]

    def vendored(self, s: Sample) -> None:
        assert s.file(TIDEWATER, "third_party/tinyjson/tinyjson.h")["content"]

    def two_repositories(self, s: Sample) -> None:
        one = s.file(TIDEWATER, "src/harmonics.py")["id"]
        assert s.file(MIRROR, "src/harmonics.py")["id"] == one
        assert sum(row.get("id") == one for row in s.contents) == 1

    def two_headers(self, s: Sample) -> None:
        one, other = (s.file(*at)["content"] for at in ((TIDEWATER, "src/harmonics.py"), (MIRROR, "harmonics.py")))
        assert one != other
        assert one.partition('"""')[2] == other.partition('"""')[2]

    def header_styles(self, s: Sample) -> None:
        starts = {
            s.file(TIDEWATER, row["path"])["content"][:2]
            for row in s.files
            if row["repo_name"] == TIDEWATER
            and "content" in s.file(TIDEWATER, row["path"])
            and "opyright" in s.file(TIDEWATER, row["path"])["content"][:500]
        }
        assert {"#!", "//", "--", ";;", "/*", "{-", "<!"} <= starts

    def long_lines(self, s: Sample) -> None:
        assert max(map(len, s.file(TIDEWATER, "web/coast.js")["content"].splitlines())) > 1_000
        wide = s.file(TIDEWATER, "src/wide.c")["content"].splitlines()
        assert 100 < sum(map(len, wide)) / len(wide) < 1_000

    def ornament(self, s: Sample) -> None:
        text = s.file(TIDEWATER, "docs/ornament.css")["content"]
        assert sum(map(str.isalnum, text)) / len(text) < 0.25

    def half_joined(self, s: Sample) -> None:
        listed = {row["id"] for row in s.files}
        assert "content" not in s.file(TIDEWATER, "src/lost.py")
        assert sum(row.get("id") not in listed for row in s.contents if "id" in row) == 1
        assert s.file(TIDEWATER, "assets/logo.png")["binary"] is True
        assert s.file(TIDEWATER, "docs/latest")["mode"] == "40960"

    def broken_row(self, s: Sample) -> None:
        assert sum("broken" in row for row in s.contents) == 1

    def redirects_and_talk(self, s: Sample) -> None:
        pages = [page for dump in s.dumps.values() for page in dump]
        assert sum(is_redirect for *_, is_redirect in pages) >= 4
        assert {"1", "4", "8", "10"} <= {namespace for _, namespace, _, _ in pages}

    def broken_markup(self, s: Sample) -> None:
        (text,) = [text for title, _, text, _ in s.dumps["en"] if title == "Nonsense markup test"]
        assert text.count("{{") > text.count("}}")
        assert text.count("<ref>") > text.count("</ref>")

    def empty_article(self, s: Sample) -> None:
        (text,) = [text for title, _, text, _ in s.dumps["en"] if title == "Map of tide mills"]
        assert re.sub(r"\{\{.*?\}\}", "", text, flags=re.DOTALL).strip() == ""

    def unwanted_wiki(self, s: Sample) -> None:
        assert len(s.dumps["eo"]) == 1

    def second_edition(self, s: Sample) -> None:
        folder = s.books / "gutenberg/90101"
        one, other = (folder / "90101-0.txt").read_text("utf-8-sig"), (folder / "old/90101.txt").read_bytes()
        plain = one.replace("’", "'")
        assert other.isascii()
        assert plain != other.decode()
        assert overlap(plain, other.decode()) > 0.9

    def omnibus(self, s: Sample) -> None:
        walk = (s.books / "gutenberg/90102/90102-8.txt").read_text("iso-8859-1")
        both = (s.books / "gutenberg/90109/90109-0.txt").read_text("utf-8").replace("’", "'")
        assert overlap(walk, both) > 0.9
        assert len(both) > 1.2 * len(walk)

    def directory_listing(self, s: Sample) -> None:
        lines = (s.books / "gutenberg/90107/90107.txt").read_text().splitlines()[1:]
        assert all(line.startswith("-rw-r--r--") for line in lines)

    def one_line_book(self, s: Sample) -> None:
        text = (s.books / "books3/one-line.txt").read_text("utf-8")
        assert "\n" not in text
        assert len(text.split()) > 1_000

    def fragment(self, s: Sample) -> None:
        with tarfile.open(s.books / "books3/books.tar.gz") as archive:
            member = archive.extractfile("books3/fragment.txt")
            assert member is not None
            assert 50 < len(member.read().split()) < 200

    def cut_jsonl(self, s: Sample) -> None:
        data = (s.books / "pg19/books-00.jsonl.zst").read_bytes()
        lines = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read().splitlines()
        assert json.loads(lines[0])["text"]
        with pytest.raises(ValueError, match="Unterminated"):
            json.loads(lines[-1])

    def withdrawn(self, s: Sample) -> None:
        assert b"withdrawn" in gzip.decompress(s.paper("2103.09997.gz"))

    def pdf_only(self, s: Sample) -> None:
        assert s.paper("2103.09998.pdf").startswith(b"%PDF")

    def cut_gzip(self, s: Sample) -> None:
        with pytest.raises(EOFError):
            gzip.decompress(s.paper("2103.09999.gz"))

    def climbs_out(self, s: Sample) -> None:
        with tarfile.open(fileobj=io.BytesIO(s.paper("2103.09996.gz"))) as archive:
            assert any(name.startswith("../") for name in archive.getnames())

    def no_tex(self, s: Sample) -> None:
        with tarfile.open(fileobj=io.BytesIO(s.paper("2103.09995.gz"))) as archive:
            assert archive.getnames() == ["readme.txt"]

    def latin1_paper(self, s: Sample) -> None:
        data = gzip.decompress(s.paper("1607.01834.gz"))
        assert "\\newcommand{\\poincare}{Poincaré}".encode("iso-8859-1") in data
        with pytest.raises(UnicodeDecodeError):
            data.decode("utf-8")

    def orphan_answers(self, s: Sample) -> None:
        orphans = 0
        for site in ("woodworking.stackexchange.com", "unix.stackexchange.com"):
            posts = s.posts(site)
            questions = {post["Id"] for post in posts if post["PostTypeId"] == "1"}
            orphans += sum(post["PostTypeId"] == "2" and post["ParentId"] not in questions for post in posts)
        assert orphans == 2

    def other_posts(self, s: Sample) -> None:
        kinds = [post["PostTypeId"] for post in s.posts("woodworking.stackexchange.com")]
        assert {"4", "5", "6"} <= set(kinds)

    def row_without_id(self, s: Sample) -> None:
        assert sum("Id" not in post for post in s.posts("woodworking.stackexchange.com")) == 1

    def scores_not_strings(self, s: Sample) -> None:
        posts = s.posts("woodworking.stackexchange.com")
        scores = [p["Score"] for p in posts if p.get("ParentId") == "1" and "Id" in p]
        assert sorted(scores, reverse=True) != sorted(scores, key=int, reverse=True)

    def row_styles(self, s: Sample) -> None:
        folder = s.root / "stack_exchange"
        astronomy = (folder / "astronomy.stackexchange.com/Posts.xml").read_bytes()
        cooking = (folder / "cooking.meta.stackexchange.com/Posts.xml").read_bytes()
        assert astronomy.startswith(b"\xef\xbb\xbf")
        assert b"></row>" in cooking
        assert b'Tags="|' in astronomy
        assert b'Tags="&lt;' in cooking


def test_the_list_of_faults_and_the_checks_are_the_same() -> None:
    assert sorted(name for name, _ in FAULTS) == sorted(name for name in vars(Checks) if not name.startswith("_"))
    assert {source for _, source in FAULTS} == set(SOURCES)


@pytest.mark.parametrize("name", [name for name, _ in FAULTS])
def test_planted_fault_is_there(sample: Sample, name: str) -> None:
    getattr(Checks(), name)(sample)


def test_books_are_whole_and_in_gutenbergs_layout(sample: Sample) -> None:
    with zipfile.ZipFile(sample.books / "gutenberg/90103.zip") as archive:
        text = archive.read("90103/90103-0.txt").decode()
    assert "*** START OF THE PROJECT GUTENBERG EBOOK" in text
    assert "*** END OF THE PROJECT GUTENBERG EBOOK" in text
    assert len(text.split()) > 2_000
