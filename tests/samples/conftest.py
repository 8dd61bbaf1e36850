"""Makes the sample once. Reads its files with the standard library only."""

from __future__ import annotations

import bz2
import gzip
import importlib.util
import json
import re
import sys
import tarfile
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import py7zr
import pytest

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


@pytest.fixture(scope="session")
def maker() -> ModuleType:
    """Loads the script by its path, as the pipeline does."""
    spec = importlib.util.spec_from_file_location("sample_under_test", SAMPLES / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def made(maker: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[str]]]:
    """Makes the sample. Returns its folder and its globs."""
    directory = tmp_path_factory.mktemp("sample")
    return directory, maker.make_sample(directory)


def members(data: bytes) -> list[tuple[bytes, bool]]:
    """Returns (content, True if complete) of every gzip member. After a broken member, searches for the next one."""
    found = []
    while data:
        unpacker = zlib.decompressobj(31)
        content, is_whole = bytearray(), False
        try:
            for start in range(0, len(data), 64):
                content += unpacker.decompress(data[start : start + 64])
                if unpacker.eof:
                    used = start + 64 - len(unpacker.unused_data)
                    is_whole = True
                    break
        except zlib.error:
            pass
        found.append((bytes(content), is_whole))
        used = used if is_whole else data.find(b"\x1f\x8b\x08", 3)
        data = data[used:] if used > 0 else b""
    return found


class Records:
    """Reads the records of a WET or WARC file, byte by byte."""

    def __init__(self, path: Path) -> None:
        self.members = members(path.read_bytes())
        self.records = [content for content, is_whole in self.members if is_whole]

    @property
    def num_broken(self) -> int:
        return sum(not is_whole for _, is_whole in self.members)

    def num_lying(self) -> int:
        lies = 0
        for record in self.records:
            head, _, block = record.partition(b"\r\n\r\n")
            length = re.search(rb"Content-Length: (\d+)", head)
            assert length is not None
            lies += int(length[1]) != len(block) - 4
        return lies

    def headers(self, name: str) -> list[str]:
        wanted = re.compile(rb"^" + name.encode() + rb": (.*?)\r$", re.MULTILINE)
        found = (wanted.search(record.partition(b"\r\n\r\n")[0] + b"\r\n") for record in self.records)
        return [match[1].decode() for match in found if match]

    def texts(self) -> dict[str, str]:
        rows = (record.partition(b"\r\n\r\n") for record in self.records if b"WARC-Type: conversion" in record[:200])
        return {
            match[1].decode(): block.decode()
            for head, _, block in rows
            if (match := re.search(rb"WARC-Target-URI: (.*?)\r\n", head + b"\r\n"))
        }


class Sample:
    """Reads the parts of the sample that the checks need."""

    def __init__(self, root: Path) -> None:
        self.root = root
        wets = sorted(root.glob("common_crawl/*/segments/*/wet/*.gz"))
        self.wets = [Records(path) for path in wets]
        (warc,) = root.glob("common_crawl/*/segments/*/warc/*.gz")
        self.warc = Records(warc)
        self.c4_wets = [Records(path) for path in sorted(root.glob("c4/*/segments/*/wet/*.gz"))]
        self.c4_lines = [gzip.decompress(p.read_bytes()).split(b"\n") for p in sorted(root.glob("c4/en/*.gz"))]
        self.contents = self._rows("contents")
        self.files = self._rows("files")
        self.licences = {row["repo_name"]: row["license"] for row in self._rows("licenses")}
        self.dumps = {path.name[:2]: self._dump(path) for path in root.glob("wikipedia/*.xml*")}
        self.books = root / "books"

    def _rows(self, table: str) -> list[dict[str, Any]]:
        rows = []
        for path in sorted(self.root.glob(f"github/{table}-*.json.gz")):
            for line in gzip.decompress(path.read_bytes()).splitlines():
                try:
                    rows.append(json.loads(line))
                except ValueError:
                    rows.append({"broken": line})
        return rows

    def _dump(self, path: Path) -> list[tuple[str, str, str, bool]]:
        """Returns (title, namespace, wikitext, True if a redirect) of every page of a dump."""
        data = bz2.decompress(path.read_bytes()) if path.suffix == ".bz2" else path.read_bytes()
        name = "{http://www.mediawiki.org/xml/export-0.10/}"
        pages = []
        for page in ElementTree.fromstring(data).iter(f"{name}page"):
            text = page.findtext(f"{name}revision/{name}text") or ""
            is_redirect = page.find(f"{name}redirect") is not None
            pages.append((page.findtext(f"{name}title") or "", page.findtext(f"{name}ns") or "", text, is_redirect))
        return pages

    def file(self, repo: str, path: str) -> dict[str, Any]:
        (row,) = [row for row in self.files if row["repo_name"] == repo and row["path"] == path]
        found = [content for content in self.contents if content.get("id") == row["id"]]
        return {**row, **(found[0] if found else {})}

    def paper(self, name: str) -> bytes:
        (path,) = self.root.glob(f"arxiv/src/arXiv_src_{name[:4]}_001.tar")
        with tarfile.open(path) as archive:
            member = archive.extractfile(f"{name[:4]}/{name}")
            assert member is not None
            return member.read()

    def posts(self, site: str) -> list[dict[str, str]]:
        packed = self.root / "stack_exchange" / f"{site}.7z"
        if packed.exists():
            factory = py7zr.io.BytesIOFactory(1 << 24)
            with py7zr.SevenZipFile(packed) as archive:
                archive.extract(factory=factory)
            data = factory.products["Posts.xml"].read()
        else:
            data = (self.root / "stack_exchange" / site / "Posts.xml").read_bytes()
        return [row.attrib for row in ElementTree.fromstring(data).iter("row")]


@pytest.fixture(scope="session")
def sample(made: tuple[Path, dict[str, list[str]]]) -> Sample:
    """Returns the parts of the sample that the checks need."""
    return Sample(made[0])
