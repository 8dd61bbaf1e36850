"""Downloads the published models. Resumes broken transfers, checks sizes, and records checksums.

A file is written as ``NAME.part`` and renamed when it is complete. Its checksum is recorded in ``checksums.json`` in
the folder of models, so that a later run can recognise a changed file.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tokenizer.did_you_mean import or_list
from tokenizer.os_errors import described, is_of_disk

CHECKSUMS = "checksums.json"
_BLOCK_BYTES = 1 << 20
_MAX_TRIES = 6
_TIMEOUT_SECONDS = 60
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})

CC_NET = "https://dl.fbaipublicfiles.com/cc_net/lm/"
LID = "https://dl.fbaipublicfiles.com/fasttext/supervised-models/"
CUTOFFS = (
    "https://raw.githubusercontent.com/facebookresearch/cc_net/bda555bd1cf1ee2e0b925363e62a61cd46c8b60d/cc_net/data/"
)
BAD_WORDS = (
    "https://raw.githubusercontent.com/LDNOOBW/List-of-Dirty-Naughty-Obscene-and-Otherwise-Bad-Words/"
    "25e679f03d96baa721cde20db9944649e8d0a844/"
)
"""The address of the list of bad words. The address names the commit that C4 uses
(tensorflow_datasets/text/c4_utils.py).
"""


@dataclass(frozen=True, slots=True)
class Published:
    """Describes a published file: its name in the folder of models, its address, and its checksum (empty if not
    known).
    """

    name: str
    url: str
    sha256: str = ""
    max_bytes: int | None = None
    """The largest number of bytes to download; None for no limit. The limit protects the disk if a server sends a much
    larger file than expected.
    """


LID_FTZ_SHA256 = "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"


def published(what: str, languages: tuple[str, ...]) -> list[Published]:
    """Returns the published files of a group of models.

    ``what`` is the group: ``lid`` or ``lid-small`` (language identification), ``lm`` (perplexity models),
    ``bad-words``, or ``all``. ``all`` has every group except ``lid-small``. The groups ``lm`` and ``bad-words`` have
    files for each of ``languages``.

    Raises:
        ValueError: ``what`` is none of these names.
    """
    files: dict[str, list[Published]] = {
        "lid": [Published("lid.176.bin", LID + "lid.176.bin")],
        "lid-small": [Published("lid.176.ftz", LID + "lid.176.ftz", LID_FTZ_SHA256)],
        "lm": [
            *(Published(n, CC_NET + n) for lang in languages for n in (f"{lang}.sp.model", f"{lang}.arpa.bin")),
            Published("cutoff.csv", CUTOFFS + "cutoff.csv"),
        ],
        "bad-words": [Published(f"badwords/{lang}.txt", BAD_WORDS + lang) for lang in languages],
    }
    if what == "all":
        return [file for some in ("lid", "lm", "bad-words") for file in files[some]]
    if what not in files:
        raise ValueError(f"fetch: there is no {what!r}{or_list(what, [*files, 'all'])}")
    return files[what]


class FetchError(Exception):
    """Raised if a file could not be downloaded. The message says which file, from where, and why."""


def fetch(
    file: Published,
    folder: Path,
    *,
    say: Callable[[str], None] = print,
    wait: Callable[[float], None] = time.sleep,
) -> Path:
    """Downloads a file into ``folder``, unless it is already there and complete. Returns the path of the file.

    Raises:
        FetchError: the download failed, or the checksum is wrong. The next call resumes a failed download.
    """
    target = folder / file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    known = read_checksums(folder)
    if target.is_file():
        actual = _sha256_of(target)
        expected = file.sha256 or str(known.get(file.name, {}).get("sha256", ""))
        if not expected:  # nobody says that it is the published file, so its address is not recorded
            say(f"{file.name}: already there and not fetched by this command, kept; delete it to get the published one")
            return target
        if actual != expected:
            raise FetchError(
                f"{target}: its checksum is {actual[:16]}..., not {expected[:16]}...; delete it and fetch again"
            )
        say(f"{file.name}: already there")
        if file.name not in known:
            _record(folder, file, actual, target)
        return target
    part = target.with_name(target.name + ".part")
    _download(file, part, say=say, wait=wait)
    actual = _sha256_of(part)
    if file.sha256 and actual != file.sha256:
        part.unlink()
        raise FetchError(
            f"{file.url}: its checksum is {actual[:16]}..., not {file.sha256[:16]}...: not the file it was"
        )
    _record(folder, file, actual, part)  # before it gets its name, so that a file without a record is the user's own
    os.replace(part, target)
    say(f"{file.name}: {target.stat().st_size:,} bytes, sha256 {actual}")
    return target


def read_checksums(folder: Path) -> Mapping[str, Mapping[str, object]]:
    """Returns the content of ``checksums.json``: the checksum, size and address of each downloaded file, by file name.

    Returns an empty mapping if there is no ``checksums.json``.
    """
    path = folder / CHECKSUMS
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise FetchError(f"{path}: not JSON ({error}); delete it and fetch again") from error
    return found if isinstance(found, dict) else {}


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _record(folder: Path, file: Published, sha256: str, path: Path) -> None:
    said = dict(read_checksums(folder))
    said[file.name] = {"sha256": sha256, "bytes": path.stat().st_size, "url": file.url}
    temporary = folder / (CHECKSUMS + ".tmp")
    temporary.write_text(json.dumps(said, indent=1, sort_keys=True) + "\n", "utf-8")
    os.replace(temporary, folder / CHECKSUMS)


def _download(file: Published, part: Path, *, say: Callable[[str], None], wait: Callable[[float], None]) -> None:
    failure = ""
    num_tries, had_bytes = 0, -1
    while num_tries < _MAX_TRIES:
        have = part.stat().st_size if part.exists() else 0
        if have > had_bytes:  # there is no limit on breaks of a transfer that makes progress
            num_tries, had_bytes = 0, have
        try:
            _get(file, part, have)
        except urllib.error.HTTPError as error:
            if error.code == 416 and have:  # the partial file is of another version than the published one
                part.unlink()
            elif error.code not in _LATER:
                raise FetchError(f"{file.url}: {error.code} {error.reason}") from error
            failure = f"{error.code} {error.reason}"
        except (OSError, http.client.HTTPException) as error:
            failure = str(error) or type(error).__name__
        else:
            return
        num_tries += 1
        if num_tries < _MAX_TRIES:
            seconds = float(2**num_tries)
            say(f"{file.name}: {failure}; again in {seconds:.0f} s")
            wait(seconds)
    raise FetchError(f"{file.url}: {failure}, {_MAX_TRIES} times; what has come stays in {part}")


def _check_size(file: Published, part: Path, num_bytes: int) -> None:
    if file.max_bytes is not None and num_bytes > file.max_bytes:
        part.unlink(missing_ok=True)
        raise FetchError(f"{file.url}: more than the {file.max_bytes:,} bytes that it should have at most; not fetched")


@contextlib.contextmanager
def _disk(part: Path) -> Iterator[None]:
    """Raises FetchError if the disk fails inside the block, for example because it is full. Other errors inside the
    block are errors of the transfer. They are passed on, and the transfer is tried again.
    """
    try:
        yield
    except OSError as error:
        if is_of_disk(error) or isinstance(error, PermissionError):
            raise FetchError(described(error, str(part))) from error
        raise


def _get(file: Published, part: Path, have: int) -> None:
    """Downloads the bytes after the first ``have`` bytes of a file, and appends them to ``part``. Raises OSError if the
    transfer ends early.
    """
    headers = {"User-Agent": "pipeline.models", "Accept-Encoding": "identity"}
    request = urllib.request.Request(file.url, headers=headers)
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
        begins = 0
        if response.status == 206:
            unit, _, said = response.headers.get("Content-Range", "").partition(" ")
            begins = int(said.partition("-")[0]) if unit == "bytes" and said.partition("-")[0].isdigit() else -1
            if begins != have:
                raise OSError(f"asked for bytes from {have}, was given {said or 'no range'}")
        length = response.headers.get("Content-Length", "")
        expected = begins + int(length) if length.isdigit() else None
        _check_size(file, part, expected or 0)
        size = begins
        with _disk(part), open(part, "ab" if begins else "wb") as sink:
            while block := response.read(_BLOCK_BYTES):
                size += len(block)
                _check_size(file, part, size)
                sink.write(block)
    size = part.stat().st_size
    if expected is not None and size < expected:
        raise OSError(f"{size} of {expected} bytes came")
    if expected is not None and size > expected:
        part.unlink()
        raise OSError(f"{size} bytes came where {expected} were announced")
