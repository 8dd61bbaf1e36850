"""Makes input of any size for a source: first each real file once, then changed copies of the real files.

The files have the same format as the published files of the source. A changed copy keeps the real text's markup, and
the lines that several real texts share (menus, notices, licences). All other words are replaced. The new words are
drawn from two texts: the real text itself, and a second text of the same kind. So the lengths, the markup and the share
of repeated lines are those of the real files, and no text occurs twice.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import random
import re
import sys
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.web_pages import generated, real_pages, write_wets

FILE_BYTES = 16 << 20
"""Uncompressed size of a made file. Published files are larger."""

_PROSE = re.compile(r"(?P<word>\w+)")
_CODE = re.compile(r"(?P<word>[A-Za-z]{4,})")
_WIKITEXT = re.compile(
    r"(?P<keep>\{\{[^{}|]*|\[\[[^\[\]]*\]\]|\[?https?://\S+|&lt;.*?&gt;|&\w+;|\w+\s*=)|(?P<word>[^\W\d_]{3,})"
)
_LATEX = re.compile(r"(?P<keep>\\[A-Za-z@]+\*?(?:\[[^\]]*\])?(?:\{[^{}]*\})?|%.*|\$[^$]*\$)|(?P<word>[A-Za-z]{4,})")
_HTML = re.compile(r"(?P<keep>&lt;.*?&gt;|&#?\w+;)|(?P<word>\w+)")


@dataclass(slots=True)
class Mixer:
    """Draws new words for texts of one kind."""

    texts: Sequence[str]
    words: re.Pattern[str]
    """The pattern that divides a text. The group ``word`` matches a word to replace, and the group ``keep`` matches a
    part that is not changed.
    """
    origins: Sequence[str] = ()
    """The origin of each text. A line that occurs in texts of several origins is not changed. By default each text has
    its own origin.
    """
    kept_lines: tuple[str, ...] = ()
    """Lines that begin with one of these strings are not changed."""
    _num_origins: Counter[str] = field(default_factory=Counter)
    _pools: list[list[str]] = field(default_factory=list)
    _rng: random.Random = field(default_factory=lambda: random.Random(0))

    def __post_init__(self) -> None:
        origins = self.origins or [str(number) for number in range(len(self.texts))]
        lines = {(line, at) for text, at in zip(self.texts, origins, strict=True) for line in text.split("\n")}
        self._num_origins.update(line for line, _ in lines)
        for text in self.texts:
            found = (m.group("word") for m in self.words.finditer(text))
            self._pools.append([word for word in found if word] or ["word"])

    def other(self, number: int) -> str:
        """Returns a new text that is modelled on text ``number``."""
        pool = self._pools[number] + self._pools[self._rng.randrange(len(self.texts))]
        draw, size = self._rng.random, len(pool)

        def drawn(match: re.Match[str]) -> str:
            return match.group() if match.lastgroup == "keep" else pool[int(draw() * size)]

        lines = self.texts[number].split("\n")
        is_kept = [self._num_origins[line] > 1 or line.startswith(self.kept_lines) for line in lines]
        return "\n".join(
            line if kept else self.words.sub(drawn, line) for line, kept in zip(lines, is_kept, strict=True)
        )


def make_input(source: str, data: Path, folder: Path, num_bytes: int) -> list[str]:
    """Writes about ``num_bytes`` of input (before compression) for a source into a folder. Does nothing if the folder
    already has the input.

    Returns the globs to give to a run. Also writes ``made.json``, which says how many bytes the input really has (see
    :func:`made_bytes`).
    """
    note = folder / "made.json"
    if not note.exists():
        folder.mkdir(parents=True, exist_ok=True)
        globs, size = MAKERS[source](data, folder, num_bytes)
        note.write_text(json.dumps({"globs": globs, "bytes": size}))
    found: list[str] = json.loads(note.read_text())["globs"]
    return found


def made_bytes(folder: Path) -> int:
    """Returns the uncompressed bytes of the input that :func:`make_input` wrote."""
    return int(json.loads((folder / "made.json").read_text())["bytes"])


def _common_crawl(data: Path, folder: Path, num_bytes: int) -> tuple[list[str], int]:
    pages = real_pages([str(p) for p in sorted(data.glob("commoncrawl/wrapped/wet/*.gz"))], only_english=False)
    write_wets(folder, generated(pages), text_bytes=num_bytes)
    return [f"{folder}/*.wet.gz"], num_bytes


def _c4(data: Path, folder: Path, num_bytes: int) -> tuple[list[str], int]:
    rows = [row for path in sorted(data.glob("c4/wrapped/*.gz")) for row in _json_rows(path)]
    made = generated([row["text"] for row in rows])

    def lines() -> Iterator[str]:
        for number, text in enumerate(made):
            row = rows[number % len(rows)]
            url = row["url"] if number < len(rows) else f"{row['url']}/{number}"
            yield json.dumps({"text": text, "timestamp": row["timestamp"], "url": url}, ensure_ascii=False)

    size = _write_lines(folder, "c4-train.{:05d}.json.gz", lines(), num_bytes)
    return [f"{folder}/*.json.gz"], size


def _json_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def _write_lines(folder: Path, name: str, lines: Iterator[str], num_bytes: int) -> int:
    total, number = 0, 0
    while total < num_bytes:
        held, size = [], 0
        while size < min(FILE_BYTES, num_bytes - total) and (line := next(lines, None)) is not None:
            held.append(line)
            size += len(line.encode()) + 1
        if not held:
            break
        (folder / name.format(number)).write_bytes(gzip.compress(("\n".join(held) + "\n").encode(), 6, mtime=0))
        total, number = total + size, number + 1
    return total


def _github(data: Path, folder: Path, num_bytes: int) -> tuple[list[str], int]:
    def rows_of(table: str) -> list[dict[str, Any]]:
        return [row for path in sorted(data.glob(f"github/dev/{table}-*.json.gz")) for row in _json_rows(path)]

    contents, files, licences = rows_of("contents"), rows_of("files"), rows_of("licenses")
    contents = [row for row in contents if row.get("content")]
    mixer = Mixer([row["content"] for row in contents], _CODE)
    ids: list[dict[str, str]] = []  # by round: id of the real content -> id of the made one

    def lines() -> Iterator[str]:
        while True:
            ids.append({})
            for number, row in enumerate(contents):
                text = row["content"] if len(ids) == 1 else mixer.other(number)
                raw = text.encode("utf-8", "surrogatepass")
                ids[-1][row["id"]] = hashlib.sha1(b"blob %d\0" % len(raw) + raw).hexdigest()
                yield json.dumps({**row, "id": ids[-1][row["id"]], "content": text, "size": len(raw)})

    size = _write_lines(folder, "contents-{:012d}.json.gz", lines(), num_bytes)
    for table, rows in (("files", files), ("licenses", licences)):
        made = (
            json.dumps({**row, "repo_name": f"{row['repo_name']}-{n}", **({"id": known[row["id"]]} if table == "files"
                        else {})})
            for n, known in enumerate(ids) for row in rows if table == "licenses" or row["id"] in known
        )  # fmt: skip
        _write_lines(folder, table + "-{:012d}.json.gz", made, 1 << 40)
    return [f"{folder}/*.json.gz"], size


def _wikipedia(data: Path, folder: Path, num_bytes: int) -> tuple[list[str], int]:
    total = 0
    dumps = [
        (p.name.split("wiki")[0], bz2.decompress(p.read_bytes()).decode())
        for p in data.glob("wikipedia/wrapped-dev/*.bz2")
    ]
    whole = sum(len(text.encode()) for _, text in dumps)
    for language, text in sorted(dumps):
        head, *pages = re.split(r"(?=<page>)", text)
        pages[-1] = pages[-1].replace("</mediawiki>", "")
        bodies = [re.search(r"(?s)(<text[^>]*>)(.*)(</text>)", page) for page in pages]
        mixer = Mixer([b[2] if b else "" for b in bodies], _WIKITEXT, kept_lines=("|", "{", "}", "!"))
        wanted = num_bytes * len(text.encode()) // whole
        round_number = number = size = 0
        while size < wanted:
            made = [head]
            held = len(head)
            while held < FILE_BYTES and size + held < wanted:
                for index, (page, body) in enumerate(zip(pages, bodies, strict=True)):
                    made.append(_page(page, body, mixer, index, round_number) if body and round_number else page)
                    held += len(made[-1].encode())
                round_number += 1
            name = f"{language}wiki-20220620-pages-articles{number + 1}.xml.bz2"
            (folder / name).write_bytes(bz2.compress(("".join(made) + "</mediawiki>\n").encode()))
            number, size = number + 1, size + held
        total += size
    return [f"{folder}/*.xml.bz2"], total


def _page(page: str, body: re.Match[str], mixer: Mixer, index: int, round_number: int) -> str:
    page = page[: body.start(2)] + mixer.other(index) + page[body.end(2) :]
    page = re.sub(r"</title>", f" ({round_number})</title>", page, count=1)
    return re.sub(r"<id>(\d+)</id>", lambda m: f"<id>{int(m[1]) + round_number * 10**8}</id>", page, count=1)


def _books(data: Path, folder: Path, num_bytes: int) -> tuple[list[str], int]:
    paths = sorted(data.glob("books/**/*.txt"))
    texts = [_decoded(p.read_bytes()) for p in paths]
    mixer = Mixer(texts, _PROSE, [p.relative_to(data / "books").parts[0] for p in paths])
    total = round_number = 0
    while total < num_bytes:
        for number, path in enumerate(paths):
            raw = mixer.other(number).encode() if round_number else path.read_bytes()
            place = folder / str(round_number) / f"{number}-{path.name}"
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(raw)
            total += len(raw)
            if total >= num_bytes:
                break
        round_number += 1
    return [f"{folder}/*/*.txt"], total


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _arxiv(data: Path, folder: Path, num_bytes: int) -> tuple[list[str], int]:
    papers: list[dict[str, bytes]] = []
    for path in sorted(data.glob("arxiv/src-dev/*.tar")):
        with tarfile.open(path) as tar:
            members = [m for m in tar.getmembers() if m.isfile() and m.name.endswith(".gz")]
            papers += [_files_of(gzip.decompress(tar.extractfile(m).read())) for m in members]  # type: ignore[union-attr]
    texts = [(n, name, raw.decode("latin-1")) for n, paper in enumerate(papers) for name, raw in paper.items()
             if name.endswith(".tex")]  # fmt: skip
    mixer = Mixer([text for _, _, text in texts], _LATEX)
    total = made = tars = 0
    while total < num_bytes:
        with tarfile.open(folder / f"arXiv_src_1601_{tars + 1:03d}.tar", "w") as tar:
            size = 0
            while size < FILE_BYTES and total + size < num_bytes:
                number, is_new = made % len(papers), made >= len(papers)
                files = dict(papers[number])
                for index, (of, name, _) in enumerate(texts):
                    if is_new and of == number:
                        files[name] = mixer.other(index).encode("latin-1")
                size += sum(len(raw) for name, raw in files.items() if name.endswith(".tex"))
                made += 1
                _add(tar, f"1601/1601.{made:05d}.gz", gzip.compress(_tar_of(files), 6, mtime=0))
        total, tars = total + size, tars + 1
    return [f"{folder}/*.tar"], total


def _files_of(raw: bytes) -> dict[str, bytes]:
    try:
        with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
            return {m.name: tar.extractfile(m).read() for m in tar.getmembers() if m.isfile()}  # type: ignore[union-attr]
    except tarfile.ReadError:
        return {"paper.tex": raw}


def _tar_of(files: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for name, raw in files.items():
            _add(tar, name, raw)
    return sink.getvalue()


def _add(tar: tarfile.TarFile, name: str, raw: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(raw)
    tar.addfile(member, io.BytesIO(raw))


def _stack_exchange(data: Path, folder: Path, num_bytes: int) -> tuple[list[str], int]:
    sites = sorted(data.glob("stackexchange/*/Posts.xml"))
    whole, total = sum(p.stat().st_size for p in sites), 0
    for path in sites:
        rows = [line for line in path.read_text("utf-8-sig").splitlines() if line.lstrip().startswith("<row ")]
        mixer = Mixer([" ".join(re.findall(r'(?:Body|Title)="([^"]*)"', row)) for row in rows], _HTML)
        place = folder / path.parent.name / "Posts.xml"
        place.parent.mkdir()
        size, wanted, round_number = 0, num_bytes * path.stat().st_size // whole, 0
        with place.open("w", encoding="utf-8") as sink:
            sink.write('<?xml version="1.0" encoding="utf-8"?>\n<posts>\n')
            while size < wanted:
                for number, row in enumerate(rows):
                    size += sink.write((_row(row, mixer, number, round_number) if round_number else row) + "\n")
                    if size >= wanted:
                        break
                round_number += 1
            sink.write("</posts>\n")
        total += place.stat().st_size
    return [f"{folder}/*/Posts.xml"], total


def _row(row: str, mixer: Mixer, number: int, round_number: int) -> str:
    def shifted(match: re.Match[str]) -> str:
        return f'{match[1]}="{int(match[2]) + round_number * 10**7}"'

    row = re.sub(r'\b(Id|ParentId|AcceptedAnswerId)="(\d+)"', shifted, row)
    text = mixer.other(number)
    return re.sub(r'\bBody="[^"]*"', lambda _: f'Body="{text}"', row, count=1)


MAKERS: dict[str, Callable[[Path, Path, int], tuple[list[str], int]]] = {
    "common_crawl": _common_crawl,
    "c4": _c4,
    "github": _github,
    "wikipedia": _wikipedia,
    "books": _books,
    "arxiv": _arxiv,
    "stack_exchange": _stack_exchange,
}
