"""Runs ``docs/quickstart.md``, command by command, against published hosts that answer on loopback."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "quickstart.md"
_FENCE = re.compile(r'^```(\w+)(?: title="([^"\n]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_IS_DONE = re.compile(r"make sample\b|source \.venv/bin/activate$")
"""Lines that set up the environment, which the tests already have."""

WET = "crawl-data/CC-MAIN-2019-30/segments/1563195523840.34/wet/CC-MAIN-20190715175205-20190715200159-00000.warc.wet.gz"
S3 = "arxiv.s3.amazonaws.com"
AWS = """#!{python}
import sys, urllib.request
words = sys.argv[1:]
assert words[:4] == ["s3", "cp", "--request-payer", "requester"] and len(words) == 6, words
bucket, _, key = words[4].removeprefix("s3://").partition("/")
url = f"https://{{bucket}}.s3.amazonaws.com/{{key}}"
request = urllib.request.Request(url, headers={{"x-amz-request-payer": "requester"}})
with urllib.request.urlopen(request) as response, open(words[5] + key.rsplit("/", 1)[-1], "wb") as sink:
    sink.write(response.read())
"""
"""A stand-in for the part of the AWS CLI that the page uses."""

Web = Callable[..., Any]


def blocks() -> list[tuple[str, str, str]]:
    """Returns (language, title, text) of each block, in order."""
    return _FENCE.findall(PAGE.read_text("utf-8"))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of the sample's files, which have the published formats."""
    folder = tmp_path_factory.mktemp("sample")
    subprocess.run([sys.executable, str(ROOT / "samples" / "make.py"), str(folder)], check=True, capture_output=True)
    return folder


def from_sample(folder: Path) -> dict[str, bytes]:
    """Returns files of the sample, by the kind of the file that they replace: ``wet``, ``wiki``, ``tar``, ``site``."""
    (dump,) = folder.glob("wikipedia/itwiki-*.xml")
    (site,) = folder.glob("stack_exchange/wood*.7z")
    wets = sorted(folder.glob("common_crawl/CC-MAIN-2019-09/segments/*/wet/*.warc.wet.gz"))
    tars = sorted(folder.glob("arxiv/src/*_2103_*.tar"))
    return {
        "wet": b"".join(wet.read_bytes() for wet in wets),
        "wiki": bz2.compress(slovene(dump.read_text("utf-8"), "it").encode()),
        "tar": tars[0].read_bytes(),
        "site": site.read_bytes(),
    }


def from_real(folder: Path) -> dict[str, bytes]:
    """Returns files with real texts, by the same names as :func:`from_sample`."""
    dump = bz2.decompress((folder / "wikipedia/wrapped-dev/plwiki-20220620-pages-articles.xml.bz2").read_bytes())
    return {
        "wet": sorted((folder / "commoncrawl/wrapped/wet").glob("*.gz"))[0].read_bytes(),
        "wiki": bz2.compress(slovene(dump.decode(), "pl").encode()),
        "tar": (folder / "arxiv/src-dev/arXiv_src_1911_001.tar").read_bytes(),
        "site": (folder / "stackexchange/wrapped-7z/coffee.stackexchange.com.7z").read_bytes(),
    }


def slovene(xml: str, language: str) -> str:
    """Returns the dump of another language with the header of the Slovene Wikipedia. The reader needs this header."""
    assert xml.count(f'xml:lang="{language}"') == 1
    return xml.replace(f'xml:lang="{language}"', 'xml:lang="sl"').replace(f"{language}wiki", "slwiki")


def published(data: dict[str, bytes]) -> dict[str, bytes]:
    """Returns a dict from every address that the page or its commands request to a file."""
    models = ROOT / "samples" / "models"
    cc_net = "dl.fbaipublicfiles.com/cc_net/lm/"
    cutoffs = "raw.githubusercontent.com/facebookresearch/cc_net/bda555bd1cf1ee2e0b925363e62a61cd46c8b60d/cc_net/data/"
    return {
        "data.commoncrawl.org/crawl-data/CC-MAIN-2019-30/wet.paths.gz": gzip.compress(f"{WET}\nno/other\n".encode()),
        f"data.commoncrawl.org/{WET}": data["wet"],
        "dumps.wikimedia.org/slwiki/latest/slwiki-latest-pages-articles.xml.bz2": data["wiki"],
        f"{S3}/src/arXiv_src_1001_001.tar": data["tar"],
        "archive.org/download/stackexchange/coffee.stackexchange.com.7z": data["site"],
        cc_net + "en.arpa.bin": (models / "en.arpa.bin").read_bytes(),
        cc_net + "en.sp.model": (models / "en.sp.model").read_bytes(),
        cutoffs + "cutoff.csv": (models / "cutoff.csv").read_bytes(),
    }


def run(command: list[str], folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=900)


def carry_out(folder: Path, env: dict[str, str]) -> list[str]:
    """Runs the page in a folder as a reader would. Returns the commands."""
    done: list[str] = []
    script: list[str] = []
    for language, title, body in blocks():
        if language == "yaml":
            (folder / title).write_text(body, "utf-8")
        elif language == "python":
            script.append(body)  # all blocks in one process, as in a notebook
        if language not in ("sh", "console") or title == "later":
            continue
        lines = [line.removeprefix("$ ") for line in body.splitlines() if language == "sh" or line.startswith("$ ")]
        for line in lines:
            if not _IS_DONE.match(line):
                told = run(["bash", "-euc", line], folder, env)
                assert told.returncode == 0, f"{line}\n{told.stdout[-1000:]}\n{told.stderr[-2000:]}"
                done.append(line)
    told = run([sys.executable, "-c", "\n".join(script)], folder, env)
    assert told.returncode == 0, f"{told.stdout[-500:]}\n{told.stderr[-2000:]}"
    assert "sequences" in told.stdout
    return done


def rehearse(tmp_path: Path, data: dict[str, bytes], loopback_web: Web) -> tuple[Path, list[str], Any]:
    if not (shutil.which("curl") and shutil.which("bash")):
        pytest.skip("curl or bash is not here")
    web = loopback_web(published(data), paid_hosts=frozenset({S3}))
    folder, programs = tmp_path / "reader", tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    (programs / "aws").write_text(AWS.format(python=sys.executable))
    (programs / "aws").chmod(stat.S_IRWXU)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    # Python and the CLI look for keys in HOME; the keys of whoever runs the tests must not matter.
    env = os.environ | web.environment | {"PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    done = carry_out(folder, env)
    return folder, done, web


def check(folder: Path, done: list[str], web: Any) -> dict[str, Any]:
    assert [line for line in done if line.startswith("curl ")], "the page downloads"
    assert web.refused == []
    assert {line.split(" ", 2)[2] for line in web.requested if line.startswith("GET 200")} == set(web.files), (
        "all, no more"
    )
    assert all(" 200 " in line for line in web.requested)
    manifest: dict[str, Any] = json.loads((folder / "small" / "manifest.json").read_text())
    config = next(body for _, title, body in blocks() if title == "small.yaml")
    assert all(f"{name}:" in config for name in manifest["sources"])
    assert len(manifest["sources"]) == 4
    for name, line in manifest["sources"].items():
        assert abs(line["share"] - float(line["weight"])) < 0.1, name
        assert line["tokens"] > 0
    assert (folder / "small" / "report" / "index.html").stat().st_size > 50_000
    return manifest


@pytest.mark.slow
def test_the_page_on_the_sample(tmp_path: Path, sample: Path, loopback_web: Web) -> None:
    check(*rehearse(tmp_path, from_sample(sample), loopback_web))


@pytest.mark.slow
@pytest.mark.real
def test_the_page_on_real_input(tmp_path: Path, corpus_data: Path, loopback_web: Web) -> None:
    manifest = check(*rehearse(tmp_path, from_real(corpus_data), loopback_web))
    assert manifest["tokens"] > 50_000


@pytest.mark.slow
def test_the_estimate_looks_as_the_page_shows_it(tmp_path: Path) -> None:
    """The sample's sizes depend on the version of Python, so numbers are not compared, and nor are their units."""
    (shown,) = [body for _, title, body in blocks() if title == "estimate"]
    command, *lines = shown.splitlines()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    told = run(
        ["bash", "-c", command.removeprefix("$ ")], tmp_path, os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}
    )

    def form(line: str) -> list[str]:
        cells = [cell.strip() for cell in re.split("[┃│]", line)]
        return [re.sub(r"[\d.,]+( [kM]?B)?$", "N", cell) for cell in cells if not set(cell) & set("━─")]

    assert len(lines) == 12
    assert [form(line) for line in told.stdout.splitlines()] == [form(line) for line in lines]
    assert "≈ N" in form(lines[4]), "common_crawl"
    assert {"≤ N", "≲ N"} <= set(form(lines[6])), "github"


def test_a_download_that_is_not_there_is_an_error(tmp_path: Path, loopback_web: Web) -> None:
    """The page's curl commands use ``-f``. Without ``-f``, curl would store the server's error page as data."""
    web = loopback_web({"data.commoncrawl.org/x": b""})
    lines = [line for language, _, body in blocks() if language == "sh" for line in body.splitlines()]
    curls = [shlex.split(line) for line in lines if line.startswith("curl ")]
    assert len(curls) == 4
    assert all("-fL" in words for words in curls)
    if not shutil.which("curl"):
        pytest.skip("curl is not here")
    command = ["curl", "-fL", "-o", "got", "https://data.commoncrawl.org/crawl-data/absent"]
    assert run(command, tmp_path, os.environ | web.environment).returncode == 22
    assert not (tmp_path / "got").exists()
