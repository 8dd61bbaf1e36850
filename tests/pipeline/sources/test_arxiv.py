"""Tests arXiv's reader: made tars with every fault that a tar can have, and real papers, whose numbers are known."""

from __future__ import annotations

import gzip
import importlib.util
import io
import sys
import tarfile
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import pyarrow as pa
import pytest

from filters.latex.main_file import find_main
from filters.latex.paper import Latex
from pipeline.sources.arxiv.reader import ArxivReader, paper_id
from pipeline.sources.source import InputFile, Rejected

TEX = b"\\documentclass{article}\\begin{document}\\section{A} text\\end{document}"
PROJECT = {
    "ms.tex": b"\\documentclass{article}\n\\usepackage{my}\n\\begin{document}\n\\input{sec/one}\n"
    b"\\include{two}% \\input{no}\n\\input{gone}\n\\end{document}\n",
    "sec/one.tex": b"\\section{One} \\R\n\\input{sec/one}\n",
    "two.tex": b"\\section{Two} b % note",
    "rebuttal.tex": b"\\documentclass{article}\\begin{document}Dear editor, "
    + b"we did all of it. " * 99
    + b"\\end{document}",
    "my.sty": b"\\ProvidesPackage{my}\n\\newcommand{\\R}{\\mathbb{R}}\n",
    "fig.png": b"\x89PNG" + bytes(2000),
    "ms.bbl": b"\\begin{thebibliography}{}\\end{thebibliography}",
}


def tar_of(files: dict[str, bytes], *, form: int = tarfile.GNU_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def read(name: str, data: bytes) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Reads a tar. Returns the documents, and (location, reason) of each rejected record."""

    def open_file(path: str) -> BinaryIO:
        assert path == name
        return io.BytesIO(data)

    reader = ArxivReader()
    (unit,) = reader.units([InputFile(name, len(data))], open_file)
    found = list(reader.read(unit, open_file))
    documents = [item for item in found if isinstance(item, dict)]
    return documents, [(item.location, item.reason) for item in found if isinstance(item, Rejected)]


def test_a_bulk_tar_of_all_kinds_of_members() -> None:
    members = {
        "0101/math0101001.gz": gzip.compress(tar_of(PROJECT)),
        "0101/hep-th0101002.gz": gzip.compress(TEX),
        "0101/hep-th0101003.pdf": b"%PDF-1.4",
        "0101/hep-th0101004.gz": gzip.compress(b"%PDF-1.4 in a gzip"),
        "0101/hep-th0101005.gz": gzip.compress(b"<!DOCTYPE html><html><body>x"),
        "0101/hep-th0101006.gz": gzip.compress(b"%!PS-Adobe-2.0 x"),
        "0101/hep-th0101007.gz": gzip.compress(b"%auto-ignore\nThis paper has been withdrawn by the author.\n"),
        "0101/hep-th0101008.gz": gzip.compress(TEX * 1000)[:-60],
        "0101/hep-th0101009.gz": b"no gzip at all",
        "0101/hep-th0101010.gz": gzip.compress(b"Just words."),
        "0101/hep-th0101011.gz": gzip.compress(tar_of({"a.pdf": b"%PDF-"})),
        "0101/hep-th0101012.gz": gzip.compress(b""),
        "0101/hep-th0101013.gz": gzip.compress(tar_of(PROJECT)[:1500]),
        "0101/hep-th0101014.gz": gzip.compress(b"PK\x03\x04docx"),
        "0101/hep-th0101015.gz": gzip.compress(TEX) + bytes(100),
    }
    documents, rejected = read("arXiv_src_0101_001.tar", tar_of(members))
    assert [document["id"] for document in documents] == ["math/0101001", "hep-th/0101002", "hep-th/0101015"]
    assert [reason for _, reason in rejected] == [
        "pdf",
        "pdf",
        "html",
        "postscript",
        "withdrawn",
        "truncated_gzip",
        "not_gzip",
        "not_tex",
        "no_tex",
        "empty_file",
        "truncated_tar",
        "zip_or_docx",
    ]
    assert rejected[0][0] == "arXiv_src_0101_001.tar#0101/hep-th0101003.pdf"


def test_a_project_is_put_together() -> None:
    documents, rejected = read("math0101001.gz", gzip.compress(tar_of(PROJECT)))
    assert rejected == []
    (document,) = documents
    counts = {
        key: document[key] for key in ("num_files", "num_files_left_out", "num_inputs_missing", "yymm", "version")
    }
    assert counts == {"num_files": 4, "num_files_left_out": 1, "num_inputs_missing": 1, "yymm": "0101", "version": None}
    outcome = Latex().apply(pa.record_batch({"text": [document["text"]]}), {})
    assert outcome.columns["text"].to_pylist() == [
        "\\section{One} \\mathbb{R}\n\\input{sec/one}\n\n\\section{Two} b\n\\input{gone}\n"
    ]


def test_names_that_lead_out_of_the_project_are_named_and_the_paper_goes_on() -> None:
    files = {"../../evil.tex": b"\\evil", "/etc/x.tex": b"\\evil", "ms.tex": TEX, "C:/x.tex": b"\\evil"}
    documents, rejected = read("x.tar.gz", gzip.compress(tar_of(files)))
    assert [document["text"] for document in documents] == [TEX.decode()]
    assert rejected == [(f"x.tar.gz#{name}", "unsafe_path") for name in files if name != "ms.tex"]


@pytest.mark.parametrize("mtime", [0, 2902713362])
def test_a_damaged_header_does_not_lose_the_members_behind_it(mtime: int) -> None:
    """With the second ``mtime``, the signed sum of a member's bytes is 0. An empty checksum is also read as 0, so it
    must not count as correct.
    """
    members = {f"0101/hep-th010100{i}.gz": gzip.compress(TEX, mtime=mtime) for i in range(1, 4)}
    data = bytearray(tar_of(members))
    second = data.index(b"0101/hep-th0101002")
    data[second + 100 : second + 140] = bytes(40)
    documents, rejected = read("a.tar", bytes(data))
    assert [document["id"] for document in documents] == ["hep-th/0101001", "hep-th/0101003"]
    assert rejected == [(f"a.tar@{second}", "damaged_tar")]


def test_a_tar_cut_short_keeps_what_stands_before() -> None:
    members = {f"0101/hep-th010100{i}.gz": gzip.compress(TEX) for i in range(1, 4)}
    data = tar_of(members)
    third = data.index(b"0101/hep-th0101003")
    for end, reasons in (
        (third, []),
        (third + 100, ["truncated_tar"]),
        (third + 540, ["truncated_gzip", "truncated_tar"]),
    ):
        documents, rejected = read("a.tar", data[:end])
        assert [document["id"] for document in documents] == ["hep-th/0101001", "hep-th/0101002"]
        assert [reason for _, reason in rejected] == reasons


@pytest.mark.parametrize("data", [b"", b"garbage" * 1000, bytes(10240)])
def test_a_tar_that_is_none(data: bytes) -> None:
    documents, rejected = read("a.tar", data)
    assert documents == []
    assert "empty_tar" in [reason for _, reason in rejected]


def test_bombs_are_bounded() -> None:
    zeros = gzip.compress(bytes(160_000_000), 6)
    assert read("a.gz", gzip.compress(b"\\x" + b" " * 30_000_000))[1] == [("a.gz", "too_large")]
    documents, rejected = read(
        "a.tar", tar_of({"0101/hep-th0101001.gz": zeros, "0101/hep-th0101002.gz": gzip.compress(TEX)})
    )
    assert [reason for _, reason in rejected] == ["empty_project"]
    assert len(documents) == 1
    figure = {"big.eps": bytes(160_000_000), "ms.tex": TEX}
    assert read("a.gz", gzip.compress(tar_of(figure)))[1] == [("a.gz", "gzip_bomb")]
    many = {f"{number}.eps": b"" for number in range(20_001)}
    assert read("a.gz", gzip.compress(tar_of(many)))[1] == [("a.gz", "too_many_members")]


def test_long_names_in_both_kinds_of_tar() -> None:
    name = "folder/" * 30 + "ms.tex"
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        documents, rejected = read("a.gz", gzip.compress(tar_of({name: TEX}, form=form)))
        assert [document["text"] for document in documents] == [TEX.decode()]
        assert rejected == []


def test_a_link_is_the_file_it_names() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("ms.tex")
        main = b"\\documentclass{a}\\begin{document}\\input{b}\\end{document}"
        info.size = len(main)
        tar.addfile(info, io.BytesIO(main))
        link = tarfile.TarInfo("b.tex")
        link.type, link.linkname = tarfile.SYMTYPE, "real.tex"
        tar.addfile(link)
        real = tarfile.TarInfo("real.tex")
        real.size = 5
        tar.addfile(real, io.BytesIO(b"\\LaTe"))
    documents, _ = read("a.gz", gzip.compress(out.getvalue()))
    assert "\\LaTe" in documents[0]["text"]


def test_one_file_of_another_encoding_loses_nothing() -> None:
    files = {
        "ms.tex": b"\\documentclass{a}\\usepackage[cp1250]{inputenc}\\begin{document}\\input{s}\\end{document}",
        "s.tex": "\\section{Ł}".encode("cp1250"),
        "u.tex": "é".encode(),
    }
    documents, _ = read("a.gz", gzip.compress(tar_of(files)))
    assert "\\section{Ł}" in documents[0]["text"]


def test_the_readme_and_the_bbl_say_which_is_the_main_file() -> None:
    files = {name: "\\documentclass{x}\\begin{document}" + "y" * len(name) for name in ("aaa.tex", "b.tex")}
    assert find_main(files) == "aaa.tex"
    assert find_main(files, stems_with_bbl=frozenset({"b"})) == "b.tex"
    raw = {name: text.encode() for name, text in files.items()}
    for readme in (b"b.tex toplevelfile\n", b'{"sources": [{"filename": "b.tex", "usage": "toplevel"}]}'):
        documents, _ = read("a.gz", gzip.compress(tar_of({**raw, "00README.XXX": readme})))
        assert documents[0]["text"] == files["b.tex"]


def test_ids() -> None:
    ids = {
        name: paper_id(name).id
        for name in ("1911.02782", "0704.0001v3", "hep-th9901001", "math.GT0309136", "draft2020123")
    }
    assert ids == {
        "1911.02782": "1911.02782",
        "0704.0001v3": "0704.0001",
        "hep-th9901001": "hep-th/9901001",
        "math.GT0309136": "math/0309136",
        "draft2020123": "draft2020123",
    }
    assert paper_id("draft2020123").arxiv_id is None


def test_a_file_that_is_none_of_arxivs_is_refused() -> None:
    with pytest.raises(ValueError, match=r"papers\.zip"):
        ArxivReader().units([InputFile("papers.zip", 1)], open)  # type: ignore[arg-type]
    assert [unit.kind for unit in ArxivReader().units([InputFile("a/X.PDF", 1)], open)] == ["pdf"]  # type: ignore[arg-type]
    assert read("a.pdf", b"%PDF")[1] == [("a.pdf", "pdf")]


# Real papers ----------------------------------------------------------------------------------------------------------


def _judge() -> ModuleType:
    path = Path(__file__).parents[3] / "benchmarks" / "judges" / "arxiv.py"
    spec = importlib.util.spec_from_file_location("judge_arxiv", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["judge_arxiv"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.real
def test_figures_on_real_papers(corpus_data: Path) -> None:
    judge = _judge()
    tars = sorted((corpus_data / "arxiv").glob("src-dev/*.tar"))
    raw = judge.papers(tars)
    cleaned: dict[str, str] = {}
    pdfs = 0
    for path in tars:
        documents, rejected = read(path.name, path.read_bytes())
        pdfs += sum(reason == "pdf" for _, reason in rejected)
        batch = pa.record_batch({"text": [document["text"] for document in documents]})
        outcome = Latex().apply(batch, {})
        assert outcome.verdict.null_count == len(documents)
        cleaned.update(zip([d["id"] for d in documents], outcome.columns["text"].to_pylist(), strict=True))
    total = judge.Verdict()
    for name, files in raw.items():
        verdict = judge.judge(files, cleaned[name])
        assert (name, verdict.num_comments_left, verdict.num_bibliography_left) == (name, 0, 0)
        assert verdict.share_kept >= 0.99, name
        total.add(verdict)
    assert pdfs >= 1
    assert total.num_raw_uses > 1000
    assert total.share_left < 0.02
    assert total.num_raw_words > 50_000


@pytest.mark.real
def test_the_archive_that_climbs_out_of_its_folder(corpus_data: Path) -> None:
    data = (corpus_data / "arxiv" / "verbatim" / "relative_path.tar.gz").read_bytes()
    documents, rejected = read("relative_path.tar.gz", data)
    assert documents == []
    assert [reason for _, reason in rejected] == ["unsafe_path", "unsafe_path", "no_tex"]
