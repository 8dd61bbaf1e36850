"""Tests a run over real files that are broken. Each is named or read correctly, sound files are not affected, and
nothing is written outside the output folder.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.run import main
from pipeline.settings.bundled_sample import models_folder

pytestmark = [pytest.mark.real, pytest.mark.slow]

WARCIO = "commoncrawl/webrecorder+warcio/test/data"
STORM = "commoncrawl/apache+stormcrawler/external/warc/src/test/resources"
CHATNOIR = "commoncrawl/chatnoir-eu+chatnoir-resiliparse/tests/data"
WET = "commoncrawl/commoncrawl+whirlwind-python/whirlwind.warc.wet.gz"
INPUTS = {
    "common_crawl": [WARCIO, f"{STORM}/unparsable-date.warc.gz", CHATNOIR, WET],
    "wikipedia": ["wikipedia/bg/dbpedia-minidump-bgwiki.xml.bz2", "wikipedia/en/pywikibot-article-pear-0.10.xml"],
    "books": ["books/1342/old/pandp09.txt", "books/11/11.txt"],
    "arxiv": ["arxiv/verbatim"],
    "stack_exchange": [f"stackexchange/{n}.stackexchange.com/Posts.xml" for n in ("conlang.meta", "ai")],
}
CLIMBING, WHOLE = "arxiv/verbatim/relative_path.tar.gz", "arxiv/verbatim/1911.02782.gz"


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Returns a dict from every file in a folder to its (size, modification time). The folder ``out`` is left out."""
    found = {}
    for path, folders, names in os.walk(folder):
        if Path(path) == folder:
            folders[:] = [f for f in folders if f != "out"]
        for name in names:
            stat = (Path(path) / name).lstat()
            found[str(Path(path) / name)] = (stat.st_size, stat.st_mtime_ns)
    return found


class Run:
    """Runs the clean phase over the broken files, and reads its output."""

    def __init__(self, root: Path, data: Path) -> None:
        self.out, self.data = root / "out", data
        self.before = listing(root)
        globs = [f"--input={source}={data / path}" for source, paths in INPUTS.items() for path in paths]
        globs.append(f"--input=arxiv={root}/deep/in/*.tar")
        args = [
            *globs,
            f"--output={self.out}",
            "--phase=clean",
            f"--models={models_folder()}",
            "--direct_num_workers=1",
        ]
        self.status = main(args)
        self.after = listing(root)

    def rows(self, kind: str, source: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = pq.read_table(self.out / kind / source).to_pylist()
        return rows

    def named(self, source: str) -> dict[str, list[str]]:
        """Returns a dict from the location of each rejected record to its reasons. Locations are relative to the folder
        of data.
        """
        found: dict[str, list[str]] = {}
        for row in self.rows("dropped", source):
            if row["stage"] == "records":
                found.setdefault(row["id"].removeprefix(f"{self.data}/"), []).append(row["reason"])
        return found

    def decided(self, source: str) -> dict[str, str]:
        """Returns a dict from the id of each document to ``kept``, or to the stage that dropped it."""
        said = {row["id"]: row["stage"] for row in self.rows("dropped", source) if row["stage"] != "records"}
        return said | {row["id"]: "kept" for row in self.rows("clean", source)}


@pytest.fixture(scope="module")
def run(corpus_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("bad")
    (root / "deep" / "in").mkdir(parents=True)
    with tarfile.open(root / "deep" / "in" / "arXiv_src_1807_001.tar", "w") as bulk:
        for name, path in (("1807/1807.00001.gz", CLIMBING), ("1807/1807.00002.gz", WHOLE)):
            data = (corpus_data / path).read_bytes()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            bulk.addfile(member, io.BytesIO(data))
    made = Run(root, corpus_data)
    assert made.status == 0
    return made


def test_nothing_is_written_outside_the_output(run: Run) -> None:
    assert run.after == run.before
    climbed = [p for p in run.out.rglob("*") if p.name in ("ir.png", "._ir.png")]
    assert not climbed
    assert not Path("ir.png").exists()


def test_every_record_that_is_broken_is_named_with_its_place(run: Run) -> None:
    named = run.named("common_crawl")
    assert named[f"{CHATNOIR}/clipped.warc.gz@0"] == ["truncated_gzip"]
    assert named[f"{WARCIO}/example-wrong-chunks.warc.gz@0"] == ["bad_content_length"]
    assert named[f"{WARCIO}/example-trunc.warc@1197"] == ["bad_content_length"]
    for name in ("example.arc", "example.arc.gz", "bad.arc", "example-bad.warc.gz.bad", "example-space-in-url.arc"):
        assert named[f"{WARCIO}/{name}"] == ["unknown_form"], name


def test_what_is_odd_but_whole_is_read(run: Run) -> None:
    """Invalid dates, wrong chunk headers, and urls with spaces are no reasons to lose a page."""
    read = Counter(url for url in (row["url"] for row in run.rows("clean", "common_crawl")) if url)
    read.update(i for i, stage in run.decided("common_crawl").items() if stage != "kept")
    places = run.named("common_crawl")
    assert places[f"{STORM}/unparsable-date.warc.gz@0+1200"] == ["http_status"], "its one page is a 404, and was read"
    assert not [p for p in places if "clueweb-quirk" in p or "example-digest" in p or "iana.org-chunked" in p]
    stats = json.loads((run.out / "stats" / "common_crawl.json").read_text())
    assert stats["documents"]["in"] == sum(1 for _ in run.rows("clean", "common_crawl")) + sum(
        row["stage"] != "records" for row in run.rows("dropped", "common_crawl")
    )
    assert stats["documents"]["in"] > 15


def test_the_pages_beside_the_broken_ones_are_unharmed(run: Run, tmp_path: Path) -> None:
    """A sound file gives the same documents alone as among broken files."""
    args = [f"--input=common_crawl={run.data / WET}", f"--output={tmp_path}/out", "--phase=clean"]
    assert main([*args, f"--models={models_folder()}", "--direct_num_workers=1"]) == 0
    alone = {row["id"] for kind in ("clean", "dropped") for row in pq.read_table(tmp_path / "out" / kind).to_pylist()}
    assert alone
    assert alone <= set(run.decided("common_crawl"))


def test_the_directory_listing_among_the_books(run: Run) -> None:
    (row,) = [row for row in run.rows("dropped", "books") if row["reason"] == "not_a_book"]
    listed = (run.data / "books/1342/old/pandp09.txt").read_text("latin-1").split()[:20]
    assert row["text"].split()[:20] == listed
    (alice,) = run.rows("clean", "books")
    assert "down the rabbit-hole" in alice["text"].lower()


def test_the_archive_that_climbs_out_of_its_folder(run: Run) -> None:
    named = run.named("arxiv")
    bulk = [place for place in named if "arXiv_src_1807_001.tar#1807/1807.00001.gz" in place]
    assert sorted(place.rpartition("#")[2] for place in bulk if "#../" in place) == ["../../._ir.png", "../../ir.png"]
    for place, reasons in named.items():
        if "../" in place:
            assert reasons == ["unsafe_path"]
    assert named[CLIMBING] == ["no_tex"]
    texts = [row["text"] for row in run.rows("clean", "arxiv")]
    assert texts, "the paper beside it"
    assert all(len(text) > 1000 for text in texts)


def test_the_xml_with_a_byte_order_mark(run: Run) -> None:
    for site in ("conlang.meta", "ai"):
        path = run.data / "stackexchange" / f"{site}.stackexchange.com" / "Posts.xml"
        assert path.read_bytes()[:3] == b"\xef\xbb\xbf", "this test is of such files"
        asked = path.read_bytes().count(b'PostTypeId="1"')
        ids = [i for i in run.decided("stack_exchange") if i.startswith(f"{site}.stackexchange.com")]
        assert len(ids) == asked, "not the first question, nor any other, is lost"


def test_the_dump_whose_header_lies_about_its_language(run: Run) -> None:
    rows = run.rows("clean", "wikipedia")
    assert {row["language"] for row in rows} == {"bg", "en"}
    cyrillic = [row for row in rows if any("а" <= c <= "я" for c in row["text"][:300])]
    assert {row["language"] for row in cyrillic} == {"bg"}


def test_counts_meet_all_the_same(run: Run) -> None:
    for source in INPUTS:
        stats = json.loads((run.out / "stats" / f"{source}.json").read_text())
        for stage in stats["stages"]:
            assert stage["in"] == stage["kept"] + sum(stage["dropped"].values())
        dropped = run.rows("dropped", source)
        assert Counter(r["reason"] for r in dropped if r["stage"] == "records") == stats["records"]
