"""Adds a notice to an output's dataset card and report, for example that the shards are newer than these two files.

The card and the report are written when a run ends. If a command changes the shards later, it cannot compute the two
files again, but their readers must know of the change. So both files contain a line with :data:`MARK`, and notices are
added after this line.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

MARK = "<!-- notices -->"
"""The line after which notices are added. In HTML and in Markdown it is a comment."""
CARD, PAGE = "README.md", "report/index.html"


def add_notice(folder: str | Path, text: str) -> list[str]:
    """Adds a notice to the dataset card and to the report of an output. Returns the names of the changed files.

    A file is not changed if it does not exist, does not contain :data:`MARK`, or already has the notice.
    """
    written = []
    for name, form in ((CARD, _markdown), (PAGE, _html)):
        path = Path(folder) / name
        if not path.is_file():
            continue
        page, notice = path.read_text("utf-8"), form(text)
        if MARK not in page or notice in page:
            continue
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_text(page.replace(MARK, f"{MARK}\n{notice}", 1), "utf-8")
        temporary.replace(path)
        written.append(name)
    return written


def _markdown(text: str) -> str:
    r"""Returns a notice as a quotation in Markdown. Escapes characters of the text that Markdown or HTML would
    interpret.

    >>> _markdown("a *b* <c>")
    '> **Note.** a \\*b\\* &lt;c>\n'
    """
    plain = " ".join(text.split()).replace("\\", "\\\\").replace("<", "&lt;")
    for char in "*_`[]|":
        plain = plain.replace(char, f"\\{char}")
    return f"> **Note.** {plain}\n"


def _html(text: str) -> str:
    """Returns a notice as a box of the report.

    >>> _html("a <c>")
    '<p class="box" role="note"><b>Note.</b> a &lt;c&gt;</p>'
    """
    return f'<p class="box" role="note"><b>Note.</b> {escape(" ".join(text.split()))}</p>'
