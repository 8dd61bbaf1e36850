"""Tests the report of a run in a store. No code may treat the store's paths as local paths."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.localfilesystem import LocalFileSystem

from pipeline.report.__main__ import main
from pipeline.report.build import render, write_report
from pipeline.report.output_state import read_state

Make = Callable[..., Path]
SCHEME = "shelf"
_opened: list[str] = []


class Shelf(LocalFileSystem):
    """Plays a store whose paths begin with ``shelf://``. Only this class can open them."""

    root = ""

    @classmethod
    def scheme(cls) -> str:
        return SCHEME

    def _local(self, path: str) -> str:
        if path.startswith(self.root):  # a path from its own listing
            return path
        assert path.startswith(f"{SCHEME}://"), path
        return self.root + path[len(SCHEME) + 2 :]

    def _name(self, path: str) -> str:
        return f"{SCHEME}:/{path.removeprefix(self.root)}"

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join([basepath.rstrip("/"), *paths])

    def match(self, patterns: list[str], limits: Any = None) -> Any:
        found = super().match([self._local(p) for p in patterns], limits)
        for result in found:
            for metadata in result.metadata_list:
                metadata.path = self._name(metadata.path)
        return found

    def open(self, path: str, mime_type: str = "", compression_type: str = CompressionTypes.AUTO) -> Any:
        _opened.append(path)
        return super().open(self._local(path), mime_type, compression_type)

    def create(self, path: str, mime_type: str = "", compression_type: str = CompressionTypes.AUTO) -> Any:
        return super().create(self._local(path), mime_type, compression_type)

    def exists(self, path: str) -> bool:
        return super().exists(self._local(path))

    def rename(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        super().rename([self._local(p) for p in source_file_names], [self._local(p) for p in destination_file_names])

    def delete(self, paths: list[str]) -> None:
        super().delete([self._local(p) for p in paths])


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[str]:
    Shelf.root = str(tmp_path)
    _opened.clear()
    yield f"{SCHEME}:/"
    Shelf.root = ""


def test_the_page_of_a_run_in_a_store(make_run: Make, pages: Any, shelf: str) -> None:
    pages.num_parts = 3
    out = make_run({"common_crawl": pages})
    remote = f"{shelf}/out"
    path = write_report(remote)
    assert path == f"{remote}/report/index.html"
    page = (out / "report" / "index.html").read_text()
    assert page.count("✓ holds") == 5
    assert "Odd page 3." in page
    assert any(name.startswith(f"{remote}/clean/common_crawl/part-") for name in _opened)
    assert render(read_state(remote)).replace(remote, str(out)).count("dropped/ holds 17 rows") == 1


def test_a_recount_and_a_comparison_of_a_run_in_a_store(
    make_run: Make, pages: Any, shelf: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run({"common_crawl": pages})
    assert main([f"{shelf}/out", "--set", "common_crawl.perplexity.middle=403"]) == 0
    assert "3 kept in the run would be dropped as perplexity: tail_perplexity" in capsys.readouterr().out
    assert main([f"{shelf}/out", f"{shelf}/out"]) == 0
    assert main([f"{shelf}/nothing"]) == 2
