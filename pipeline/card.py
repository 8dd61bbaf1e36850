"""The dataset card: ``OUT/README.md`` in the form that dataset hubs read, filled from the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jinja2

from pipeline.files import write_bytes
from pipeline.layout import Layout

LICENCES: Mapping[str, str] = {
    "common_crawl": "Common Crawl's terms of use; each page remains its author's",
    "c4": "ODC-BY for the collection; each page remains its author's",
    "github": "MIT, BSD or Apache 2.0, file by file (column `license`); keep the notices",
    "wikipedia": "CC BY-SA 4.0 and GFDL: name the authors (the article's page) and share alike",
    "books": "public domain in the United States for Project Gutenberg; others as their owners say",
    "arxiv": "arXiv's licence to distribute; each paper under the licence its authors chose",
    "stack_exchange": "CC BY-SA (2.5, 3.0 or 4.0 by date): name the authors and share alike",
}
"""What each source's text may be used for, in a line. Not legal advice."""


def write_card(layout: Layout, manifest: Mapping[str, Any]) -> None:
    """Writes the card beside the shards."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline"), undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    text = environment.get_template("card.md").render(manifest=manifest, licences=LICENCES)
    write_bytes(layout.card, text.encode())
