"""Takes the picture of the report that the README shows: ``python -m docs.make_picture OUT`` after ``make sample``.

It needs a Chromium and playwright (``pip install '.[browser]'``). CHROMIUM names another browser.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from PIL import Image

PICTURE = Path(__file__).parent / "report.png"
_WIDTH, _HEIGHT = 1120, 1470
_NUM_COLOURS = 192
"""The page has flat colours, so a palette makes the picture a third of its size and shows the same."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m docs.make_picture", description=__doc__.split("\n", 1)[0])
    parser.add_argument("output", metavar="OUT", help="the output of a run")
    page = Path(parser.parse_args(argv).output, "report", "index.html")
    if not page.is_file():
        parser.error(f"{page} is not there: give the output of a run")
    taken = Image.open(io.BytesIO(_screenshot(page))).convert("RGB")
    taken.quantize(_NUM_COLOURS, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    print(PICTURE)
    return 0


def _screenshot(page: Path) -> bytes:
    """Returns the top of a page as a PNG: the verdict, and what each source kept and lost."""
    browser = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with import_module("playwright.sync_api").sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        opened = chromium.new_page(viewport={"width": _WIDTH, "height": _HEIGHT}, color_scheme="light")
        opened.goto(page.absolute().as_uri())
        opened.evaluate("document.getElementById('mixture').hidden = true")  # so that the losses fit
        taken: bytes = opened.screenshot()
        chromium.close()
    return taken


if __name__ == "__main__":
    raise SystemExit(main())
