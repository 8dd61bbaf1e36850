"""Tests that the picture of the losses is one well-formed SVG file with the right numbers."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "examples" / "plot_losses.py"


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), str(folder)], capture_output=True, text=True)


def test_the_picture(tmp_path: Path) -> None:
    lines = [{"step": i, "loss": 7 - i / 20, "sources": {"a<b": 5.0, "c": 6.0}} for i in range(60)]
    (tmp_path / "losses.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "validation.json").write_text('{"c": 4.5}')
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    root = ET.parse(tmp_path / "losses.svg").getroot()
    said = " ".join(text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text"))
    assert "7.00 to 4.1" in said
    assert "a<b 5.00, c 6.00" in said
    assert "held out: c 4.50" in said
    curves = root.findall("{http://www.w3.org/2000/svg}polyline")
    assert [len(curve.attrib["points"].split()) for curve in curves] == [60, 60]


def test_without_losses_it_says_so(tmp_path: Path) -> None:
    for text in (None, "", '{"loss": 1}\n'):
        if text is not None:
            (tmp_path / "losses.jsonl").write_text(text)
        done = run(tmp_path)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
