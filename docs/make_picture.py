"""Makes the README's picture of the report, which is a screenshot: ``python -m docs.make_picture OUT`` after ``make
sample``.

The script needs playwright (``pip install '.[browser]'``) and the browser Chromium. The environment variable CHROMIUM
is the path of another browser.
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
"""The picture gets a palette of this many colours. This makes the file a third of its size, and it looks the same."""


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
    """Returns a screenshot (PNG) of the top of the page, which shows the verdict, and the kept and lost documents of
    each source.
    """
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
