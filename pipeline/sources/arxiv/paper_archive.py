"""Unpacks the archive of one paper as a stream, with limited memory. Keeps only TeX files, and writes nothing to disk.

arXiv stores a paper as ``ID.gz``. This is either a gzipped tar of a project (all files of the paper), or a single
gzipped file of any format.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import Any

from pipeline.sources.arxiv.readme import MAX_README_BYTES, Readme, read_readme
from pipeline.sources.formats.damaged_tar import BLOCK_BYTES, Readable, TarDamage, TarMember, TarStream, is_tar
from pipeline.sources.formats.gzip_unpacker import GZIP_ERRORS, new_unpacker

MAX_TEX_BYTES = 20_000_000
"""The largest number of bytes of TeX in one paper. All TeX of a paper is in memory at once. Our choice: the longest
theses have 5 MB. Cleaning 20 MB takes less than half a minute."""
MAX_MEMBERS = 20_000
"""The largest number of files in one project. Our choice: arXiv's largest projects have a few thousand figures."""
BOMB_BASE_BYTES = 100_000_000
MAX_RATIO = 200
"""A paper may unpack to at most 100 MB plus ``MAX_RATIO`` times its stored size. gzip can unpack to 1,032 times the
stored size. In real papers, drawings unpack to up to 50 times their stored size.
"""
_GZIP_MAGIC = b"\x1f\x8b"
_PIECE_BYTES = 1 << 16
_MAX_FILL_BYTES = 1 << 18

_NOT_TEX = (
    ".eps .ps .epsi .epsf .pdf .png .jpg .jpeg .gif .svg .tif .tiff .bmp .ppm .pgm .fig .xfig .bib .bst .bbl"
    " .blg .aux .log .toc .out .lof .lot .synctex .gz .zip .tgz .bz2 .z .csv .dat .xls .xlsx .doc"
    " .docx .ppt .mp4 .avi .mov .mpg .mp3 .wav .py .ipynb .m .nb .r .c .cpp .h .java .jl .sh .md .html .xml"
    " .json .yml .yaml .pfb .ttf .otf .afm .tfm .npy .npz .mat .fits .root .hdf5 .h5 .md5 .ds_store .gitignore"
    " .bbx .cbx .dbx .fd .dtx .ins .rnw .makefile"
)
_NOT_TEX_ENDINGS = frozenset(_NOT_TEX.split())
_FORMATS = (
    (b"%PDF-", "pdf", False),
    (b"%!PS", "postscript", False),
    (b"%!Adobe", "postscript", False),
    (b"\x04%!PS", "postscript", False),
    (b"PK\x03\x04", "zip_or_docx", False),
    (b"\xd0\xcf\x11\xe0", "word_document", False),
    (b"\x1f\x8b", "nested_gzip", True),
    (b"\x1f\x9d", "unix_compress", True),
)
_HTML = re.compile(
    rb"\s*(?:<!--.*?-->\s*)?(?:<\?xml[^>]*>\s*)?<(?:!doctype\s+html|html|head|title|body)\b", re.IGNORECASE | re.DOTALL
)
_WITHDRAWN = re.compile(
    rb"(?:paper|submission|article|manuscript|preprint|work|document|e-?print|it)\b[^.]{0,120}\bwithdrawn\b"
    rb"|\bwithdrawn by\b",
    re.IGNORECASE,
)
_MAX_NOTICE_BYTES = 2_000


class BadPaperError(Exception):
    """Raised if a paper cannot be read or has no TeX. ``reason`` is the drop reason. ``is_bad`` is True if the file is
    damaged.
    """

    def __init__(self, reason: str, detail: str = "", *, is_bad: bool = True) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
        self.is_bad = is_bad


@dataclass(slots=True)
class Project:
    """Holds the TeX files of a paper, by their paths. Also holds information about the paper's archive."""

    files: dict[str, bytes] = field(default_factory=dict)
    unsafe_names: list[str] = field(default_factory=list)
    """The names of members whose paths lead out of the project's folder. These members are not read."""
    stems_with_bbl: set[str] = field(default_factory=set)
    readme: Readme = field(default_factory=Readme)
    """The content of the project's 00README."""
    num_bytes: int = 0
    links: dict[str, str] = field(default_factory=dict)


class Gunzip:
    """Unpacks a gzip file while it is read.

    Raises :class:`BadPaperError` if the file is truncated or damaged, or unpacks to too many bytes.
    """

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._unzip: Any = None
        """Unpacks the member that is read now; None before its first bytes are read."""
        self._stored = b""
        self._buffer = b""
        self._is_done = False
        self.num_stored = 0
        self.num_unpacked = 0

    def read(self, num_bytes: int, /) -> bytes:
        """Returns up to ``num_bytes`` bytes. The result is empty only at the end of the file."""
        while not self._buffer and not self._is_done:
            self._fill()
        data, self._buffer = self._buffer[:num_bytes], self._buffer[num_bytes:]
        return data

    def _fill(self) -> None:
        if not self._stored:
            self._stored = self._stream.read(_PIECE_BYTES)
            self.num_stored += len(self._stored)
        if not self._stored:
            raise BadPaperError("truncated_gzip", f"after {self.num_unpacked} bytes")
        self._unzip = self._unzip or new_unpacker(self._stored)
        try:
            self._buffer = self._unzip.decompress(self._stored, _MAX_FILL_BYTES)
        except GZIP_ERRORS as error:
            reason = "corrupt_gzip" if self.num_unpacked or self.num_stored > _PIECE_BYTES else "not_gzip"
            raise BadPaperError(reason, str(error)) from None
        self._stored = self._unzip.unconsumed_tail
        if self._unzip.eof:
            self._next_member()
        self.num_unpacked += len(self._buffer)
        if self.num_unpacked > BOMB_BASE_BYTES + MAX_RATIO * self.num_stored:
            raise BadPaperError("gzip_bomb", f"{self.num_unpacked} bytes of {self.num_stored}")

    def _next_member(self) -> None:
        rest = self._unzip.unused_data
        while len(rest) < len(_GZIP_MAGIC) and (more := self._stream.read(_PIECE_BYTES)):
            rest += more
            self.num_stored += len(more)
        if rest.startswith(_GZIP_MAGIC):
            self._unzip, self._stored = None, rest
        else:  # padding, or bytes that a mail program added at the end
            self._is_done = True


def read_project(stream: Readable, project: Project) -> None:
    """Reads ``ID.gz``, and adds the TeX files in it to ``project``. A file whose path leads out of the project's folder
    is not read. Its path is added to ``project.unsafe_names``.

    Raises:
        BadPaperError: the content is not TeX or cannot be read. Then the caller must not use ``project``.
    """
    unzipped = Gunzip(stream)
    head = _read_up_to(unzipped, BLOCK_BYTES)
    if not head:
        raise BadPaperError("empty_file")
    if is_tar(head):
        _read_tar(TarStream(unzipped, stops_at_end=True, head=head), project)
        return
    name, is_bad = _other_format(head)
    if name:
        raise BadPaperError(name, is_bad=is_bad)
    data = head + _read_up_to(unzipped, MAX_TEX_BYTES + 1 - len(head))
    if len(data) > MAX_TEX_BYTES:
        raise BadPaperError("too_large", f"more than {MAX_TEX_BYTES} bytes of TeX")
    _check_single(data)
    project.files["main.tex"] = data
    project.num_bytes = len(data)


def _read_up_to(stream: Readable, num_bytes: int) -> bytes:
    pieces = []
    while num_bytes > 0 and (piece := stream.read(min(num_bytes, 1 << 20))):
        pieces.append(piece)
        num_bytes -= len(piece)
    return b"".join(pieces)


def _other_format(head: bytes) -> tuple[str, bool]:
    for magic, name, is_bad in _FORMATS:
        if head.startswith(magic):
            return name, is_bad
    if _HTML.match(head):
        return "html", False
    if not any(head):
        return "empty_project", True
    if head.count(b"\0") * 10 > len(head) and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "unknown_format", True
    return "", False


def _check_single(data: bytes) -> None:
    if len(data) <= _MAX_NOTICE_BYTES and _WITHDRAWN.search(b" ".join(data.split())):
        raise BadPaperError("withdrawn", is_bad=False)
    if b"\\" not in data:
        raise BadPaperError("not_tex", is_bad=False)


def _read_tar(tar: TarStream, project: Project) -> None:
    for num_members, member in enumerate(tar):
        if isinstance(member, TarDamage):
            reason = "truncated_tar" if member.is_cut else "damaged_tar"
            raise BadPaperError(reason, f"at byte {member.offset} of the unpacked project")
        if num_members >= MAX_MEMBERS:
            raise BadPaperError("too_many_members", f"more than {MAX_MEMBERS}")
        _read_member(project, member)
    for name, target in project.links.items():
        if target in project.files:
            project.files[name] = project.files[target]
    if not any(b"\\" in data for data in project.files.values()):
        raise BadPaperError("no_tex", is_bad=False)
    if project.num_bytes <= _MAX_NOTICE_BYTES and all(_WITHDRAWN.search(data) for data in project.files.values()):
        raise BadPaperError("withdrawn", is_bad=False)


def _read_member(project: Project, member: TarMember) -> None:
    name = safe_name(member.name)
    if name is None:
        project.unsafe_names.append(member.name)
        return
    if member.link_to:
        target = safe_name(posixpath.join(posixpath.dirname(name), member.link_to))
        if target is not None:
            project.links[name] = target
        return
    if not member.is_file or name.startswith("anc/"):
        return  # arXiv reserves this folder for ancillary files, which are not part of the paper
    stem, ending = posixpath.splitext(name)
    if ending.lower() == ".bbl":
        project.stems_with_bbl.add(stem)
    if posixpath.basename(name).lower().startswith("00readme"):
        if "/" not in name:
            project.readme = read_readme(member.read(MAX_README_BYTES).decode("utf-8", "replace")) or project.readme
        return
    if ending.lower() in _NOT_TEX_ENDINGS and ending.lower() != ".bbl":
        return
    if posixpath.basename(name).startswith("._") or "__MACOSX/" in name:
        return  # metadata that macOS stores beside a file
    if project.num_bytes + member.num_bytes > MAX_TEX_BYTES:
        if ending.lower() in (".tex", ".ltx", ".latex"):
            raise BadPaperError("too_large", f"more than {MAX_TEX_BYTES} bytes of TeX")
        return
    data = member.read()
    if b"\0" in data[:1024] and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return
    project.files[name] = data
    project.num_bytes += len(data)


def safe_name(name: str) -> str | None:
    """Normalises the path of a member. Returns None if the path leads out of the project's folder.

    >>> safe_name("./sec/../a.tex"), safe_name("../../a.tex"), safe_name("/etc/passwd")
    ('a.tex', None, None)
    """
    path = posixpath.normpath(name.replace("\\\\", "/"))
    if path.startswith(("/", "../")) or path in ("..", ".") or re.match(r"[A-Za-z]:", path):
        return None if path != "." else ""
    return path
