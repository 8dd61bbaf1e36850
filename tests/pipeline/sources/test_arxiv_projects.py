"""Tests whole arXiv projects, from the tar (packed as arXiv does it) to the cleaned text."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from filters.latex.paper import clean_latex
from pipeline.sources.arxiv.reader import ArxivReader
from pipeline.sources.source import InputFile

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "cases" / "arxiv" / "projects.json").read_text(encoding="utf-8")
)


def read(files: dict[str, str]) -> dict[str, Any]:
    """Returns the only document of a project."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in files.items():
            data = text.encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    packed = gzip.compress(out.getvalue())

    def open_file(path: str) -> BinaryIO:
        return io.BytesIO(packed)

    reader = ArxivReader()
    (unit,) = reader.units([InputFile("1911.00001.gz", len(packed))], open_file)
    (document,) = reader.read(unit, open_file)
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))
def test_project(case: dict[str, Any]) -> None:
    """The cleaned text contains each text in ``must``, and none in ``must_not``. Several white-space characters count
    as one.
    """
    paper = clean_latex(read(case["files"])["text"])
    text = " ".join(paper.text.split())
    missing = [want for want in case["must"] if " ".join(want.split()) not in text]
    found = [bad for bad in case["must_not"] if bad in text]
    assert (missing, found, paper.num_macros_left) == ([], [], case["num_macros_left"]), paper.text
