"""Makes the arXiv part of the sample: one tar per month, as in arXiv's bulk downloads.

Some papers are projects of several files, some are single files, and some are withdrawn.
"""

from __future__ import annotations

from pathlib import Path

from . import material
from .containers import gz, tar, write

GLOBS = ("src/arXiv_src_*.tar",)

_PDF = b"%PDF-1.5\n%\xd0\xd4\xc5\xd8\n1 0 obj << /Type /Catalog >> endobj\ntrailer << /Root 1 0 R >>\n%%EOF\n"
_LATIN1_PAPERS = {"1607.01834"}


def make(place: Path) -> None:
    """Writes the source into the folder ``place``."""
    months: dict[str, list[tuple[str, bytes]]] = {}
    for folder in sorted(path for path in (material.MATERIAL / "arxiv").iterdir() if path.is_dir()):
        month = (
            folder.name.split(".")[0] if "." in folder.name else folder.name.lstrip("-abcdefghijklmnopqrstuvwxyz")[:4]
        )
        months.setdefault(month, []).append((f"{month}/{folder.name}.gz", paper(folder)))
    last = sorted(months)[-1]
    months[last].append((f"{last}/{last}.09998.pdf", _PDF))
    whole = months[last][0][1]
    months[last].append((f"{last}/{last}.09999.gz", whole[: len(whole) // 2]))
    withdrawn = b"%auto-ignore\nThis paper has been withdrawn by the author: the proof of Lemma 2 does not hold.\n"
    months[last].append((f"{last}/{last}.09997.gz", gz(withdrawn)))
    months[last].append((f"{last}/{last}.09996.gz", tar([("../../escaped.tex", b"\\section{Out}\n")], compress=True)))
    months[last].append(
        (f"{last}/{last}.09995.gz", tar([("readme.txt", b"The source was not sent.\n")], compress=True))
    )
    for month, members in sorted(months.items()):
        write(place / f"src/arXiv_src_{month}_001.tar", tar(sorted(members)))


def paper(folder: Path) -> bytes:
    """Returns a paper as arXiv stores it. A paper of one file is a gzipped file. A paper of several files is a gzipped
    tar.
    """
    encoding = "iso-8859-1" if folder.name in _LATIN1_PAPERS else "utf-8"
    members = []
    for path in material.files("arxiv", folder.name):
        data = (
            path.read_text("utf-8").encode(encoding)
            if path.suffix in {".tex", ".sty", ".bbl", ".bib"}
            else path.read_bytes()
        )
        members.append((path.relative_to(folder).as_posix(), data))
    if len(members) == 1:
        return gz(members[0][1])
    return tar(members, compress=True)
