"""arXiv: reads LaTeX sources from arXiv's bulk tars. Each paper is one document.

``arXiv_src_YYMM_NNN.tar`` contains ``YYMM/ID.gz`` (a project's gzipped tar, or one gzipped file), or ``ID.pdf`` for a
paper without source. The reader joins the TeX files of a paper into one LaTeX text: each command that includes a file
(such as ``\\input``) is replaced by the content of this file. The step :class:`filters.latex.paper.Latex` cleans the
joined text.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from filters.latex.encoding import decode_project
from filters.latex.main_file import find_main
from filters.latex.paper import DetectPaperLanguage, Latex
from filters.latex.project import assemble
from pipeline.sources.arxiv.paper_archive import BadPaperError, Project, read_project
from pipeline.sources.dedup_steps import ExactDedup
from pipeline.sources.formats.damaged_tar import Readable, TarDamage, TarMember, TarStream
from pipeline.sources.source import DataLicence, Document, InputFile, Opener, Reader, Rejected, Source, Unit

_ENDINGS = ((".tar.gz", "paper"), (".tgz", "paper"), (".gz", "paper"), (".tar", "bulk"), (".pdf", "pdf"))
_NEW_ID = re.compile(r"(\d{4})\.(\d{4,5})(?:v(\d+))?\Z")
_ARCHIVES = (
    "acc-phys|adap-org|alg-geom|ao-sci|astro-ph|atom-ph|bayes-an|chao-dyn|chem-ph|cmp-lg|comp-gas|cond-mat|cs|dg-ga"
    "|funct-an|gr-qc|hep-ex|hep-lat|hep-ph|hep-th|math-ph|math|mtrl-th|nlin|nucl-ex|nucl-th|patt-sol|physics|plasm-ph"
    "|q-alg|q-bio|quant-ph|solv-int|supr-con"
)
_OLD_ID = re.compile(rf"({_ARCHIVES})(?:\.[A-Z]{{2}})?_?(\d{{4}})(\d{{3}})(?:v(\d+))?\Z")
_TEX_ENDINGS = (".tex", ".ltx", ".latex")
_NOT_BAD_MEMBERS = (".pdf", ".txt", ".html", ".ps.gz", ".dvi.gz", ".html.gz")


@dataclass(frozen=True, slots=True)
class PaperId:
    """Holds the identity of a paper, read from the name of its file."""

    id: str
    arxiv_id: str | None
    yymm: str | None
    version: int | None


def paper_id(name: str) -> PaperId:
    """Returns the identity of a paper from the name of its file (without the ending).

    If the name contains no arXiv id, the name itself becomes ``id``, and ``arxiv_id``, ``yymm`` and ``version`` are
    None.

    >>> paper_id("math0101001"), paper_id("1911.02782v2").version
    (PaperId(id='math/0101001', arxiv_id='math/0101001', yymm='0101', version=None), 2)
    """
    new = _NEW_ID.match(name)
    if new is not None:
        arxiv_id = f"{new[1]}.{new[2]}"
        return PaperId(arxiv_id, arxiv_id, new[1], int(new[3]) if new[3] else None)
    old = _OLD_ID.match(name)
    if old is not None:
        arxiv_id = f"{old[1]}/{old[2]}{old[3]}"
        return PaperId(arxiv_id, arxiv_id, old[2], int(old[4]) if old[4] else None)
    return PaperId(name, None, None, None)


def _kind_and_stem(path: str) -> tuple[str, str]:
    base = posixpath.basename(path)
    for ending, kind in _ENDINGS:
        if base.lower().endswith(ending) and len(base) > len(ending):
            return kind, base[: -len(ending)]
    return "", base


@dataclass(frozen=True, slots=True, kw_only=True)
class ArxivReader(Reader):
    """Reads bulk tars and single papers. Each input file is one unit: one worker reads the file, as a stream."""

    DATA_VERSION: ClassVar[int] = 2
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "arxiv_id": pa.string(),
        "yymm": pa.string(),
        "version": pa.int64(),
        "num_files": pa.int64(),
        "num_files_left_out": pa.int64(),
        "num_inputs_missing": pa.int64(),
        "encoding": pa.string(),
    }
    RULE: ClassVar[str] = (
        "A paper's files become one source: the main file is found, its inputs are followed in place, and the macros "
        "of its own styles come first."
    )
    CITE: ClassVar[str] = "TeX's own order"
    BROKEN: ClassVar[tuple[str, ...]] = (
        "truncated_gzip",
        "corrupt_gzip",
        "not_gzip",
        "nested_gzip",
        "gzip_bomb",
        "unix_compress",
        "truncated_tar",
        "damaged_tar",
        "empty_tar",
        "empty_file",
        "empty_project",
        "too_large",
        "too_many_members",
        "unknown_format",
        "unsafe_path",
    )
    NOT_BROKEN: ClassVar[tuple[str, ...]] = ("pdf", "no_tex", "not_tex", "withdrawn", "not_a_source", "unknown_member")

    def knows(self, path: str) -> bool:
        """True if the ending of a file's name belongs to a format that this source reads."""
        return bool(_kind_and_stem(path)[0])

    def units(self, files: Sequence[InputFile], open_file: Opener) -> list[Unit]:
        """Returns one unit (a piece of work for one worker) per file.

        Raises ValueError for a name that does not end in ``.tar``, ``.gz``, ``.tgz`` or ``.pdf``.
        """
        units = []
        for file in files:
            kind, _ = _kind_and_stem(file.path)
            if not kind:
                raise ValueError(
                    f"arxiv: {file.path} is no .tar of papers, no paper's .gz or .tar.gz, and no .pdf (passed by)"
                )
            units.append(Unit(path=file.path, num_bytes=file.num_bytes, kind=kind))
        return units

    def read(self, unit: Unit, open_file: Opener) -> Iterator[Document | Rejected]:
        """Yields the papers in one input file. A tar contains one file per paper. If a file in the tar is damaged or is
        not a paper, a rejection with the file's name is yielded instead of a document.
        """
        if unit.kind == "pdf":
            yield Rejected(location=unit.location, reason="pdf", is_bad=False)
            return
        with open_file(unit.path) as file:
            if unit.kind == "paper":
                yield from _read_paper(file, unit.location, _kind_and_stem(unit.path)[1], is_whole_file=True)
            else:
                yield from _read_bulk(file, unit.location)


def _read_bulk(file: Readable, location: str) -> Iterator[Document | Rejected]:
    num_members = 0
    for member in TarStream(file):
        if isinstance(member, TarDamage):
            reason = "truncated_tar" if member.is_cut else "damaged_tar"
            yield Rejected(
                location=f"{location}@{member.offset}",
                reason=reason,
                detail=member.name,
                is_whole_file=member.is_cut and num_members == 0,
            )
            continue
        num_members += 1
        if member.is_file:
            yield from _read_member(member, f"{location}#{member.name}")
    if num_members == 0:
        yield Rejected(location=location, reason="empty_tar", is_whole_file=True)


def _read_member(member: TarMember, location: str) -> Iterator[Document | Rejected]:
    kind, stem = _kind_and_stem(member.name)
    if kind == "pdf" or member.name.lower().endswith(_NOT_BAD_MEMBERS):
        yield Rejected(location=location, reason="pdf" if kind == "pdf" else "not_a_source", is_bad=False)
    elif kind == "paper":
        yield from _read_paper(member, location, stem, is_whole_file=False)
    else:
        yield Rejected(location=location, reason="unknown_member", is_bad=False)


def _read_paper(stream: Readable, location: str, stem: str, *, is_whole_file: bool) -> Iterator[Document | Rejected]:
    project = Project()
    found: Document | Rejected
    try:
        read_project(stream, project)
        found = _document(project, paper_id(stem), location)
    except BadPaperError as bad:
        is_whole_file &= bad.is_bad
        found = Rejected(
            location=location, reason=bad.reason, detail=bad.detail, is_bad=bad.is_bad, is_whole_file=is_whole_file
        )
    for name in project.unsafe_names:
        yield Rejected(location=f"{location}#{name}", reason="unsafe_path")
    yield found


def _document(project: Project, paper: PaperId, location: str) -> Document | Rejected:
    decoded = decode_project(project.files)
    files = {path: found.text for path, found in decoded.items()}
    main = find_main(
        files,
        stems_with_bbl=frozenset(project.stems_with_bbl),
        declared=project.readme.main,
        ignored=project.readme.ignored,
    )
    if main is None:
        return Rejected(location=location, reason="no_tex", is_bad=False)
    if len(files[main]) < _MAX_AUTO_IGNORE_CHARS and files[main].lstrip().startswith("%auto-ignore"):
        return Rejected(location=location, reason="withdrawn", is_bad=False)
    assembled = assemble(files, main)
    sources = [path for path in files if path.lower().endswith(_TEX_ENDINGS)]
    return {
        "id": paper.id,
        "text": assembled.text,
        "arxiv_id": paper.arxiv_id,
        "yymm": paper.yymm,
        "version": paper.version,
        "num_files": len(assembled.reached),
        "num_files_left_out": sum(path not in assembled.reached for path in sources),
        "num_inputs_missing": assembled.num_missing,
        "encoding": decoded[main].encoding,
    }


_MAX_AUTO_IGNORE_CHARS = 2_000
"""If a file begins with ``%auto-ignore`` and has fewer characters than this, the file is not a paper. Then it is a
notice, for example that the paper was withdrawn.
"""


SOURCE = Source(
    name="arxiv",
    reader=ArxivReader(),
    steps=(
        Latex(),
        DetectPaperLanguage(),
        ExactDedup(
            NAME="duplicate_id",
            reason="duplicate_id",
            key="id",
            newest="version",
            rule="Keeps the newest version of each paper.",
        ),
    ),
    cite="LLaMA (arXiv:2302.13971) section 2.1: arXiv's LaTeX files; everything before the first section, the "
    "bibliography and comments removed; definitions and macros written by users expanded",
    licence=DataLicence(
        "each paper under the licence that its authors chose, often arXiv's licence to distribute alone",
        "that one lets arXiv distribute the paper and nobody else: look each up by its id before passing it on",
        "https://info.arxiv.org/help/license/index.html",
    ),
)
