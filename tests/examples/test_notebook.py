"""Tests that the notebook runs from its first cell to its last, and that its outputs are what its text says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
ROOT = EXAMPLES.parent


def printed(cells: list[Any]) -> str:
    """Returns what the cells printed."""
    return "".join(
        output.get("text") or output.get("data", {}).get("text/plain", "") for cell in cells for output in cell.outputs
    )


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason="make test installs it")
    pytest.importorskip("ipykernel", reason="make test installs it")
    nbformat = pytest.importorskip("nbformat", reason="make test installs it")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(EXAMPLES / "first_hour.ipynb", as_version=4)
    committed = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert "wikipedia" in printed(committed), "its outputs are committed, so that it can be read without running it"
    assert str(tmp_path.anchor) + "tmp" not in printed(committed)
    for cell in committed:
        cell.outputs = []
    # An error in a cell is raised here.
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    said = printed(committed)
    assert "'many' is not a whole number of tokens" in said
    assert "60,000 tokens of" in said
    assert "dropped by book_quality: too_few_words" in said
    assert "books.book_quality.min_num_words=20000: 0 of 6 documents, 0 tokens" in said
    assert "(4, 257) int64" in said
    assert (tmp_path / "notebook-out" / "report" / "index.html").is_file()
