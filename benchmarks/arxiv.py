r"""Measures how fast our code and three peers clean arXiv's tars, in MB of LaTeX per CPU second.

    python benchmarks/arxiv.py [--peers PYTHON] [--repeat N] arXiv_src_*.tar...

Every system gets the same texts, one at a time. Such a text is the assembled source of a paper: all files of the paper
in one text. The size in MB is the size of these texts. The peers are:

- ``arxiv-latex-cleaner``, which only strips comments;
- ``pylatexenc``, which turns LaTeX into plain text;
- RedPajama's method, rebuilt from its description. It cuts the front matter by regular expression, removes comments
  line by line, and replaces macros without arguments by their text.

PYTHON is an interpreter with the first two peers installed. They run once, in one process. The first table has one line
per system. Each line also says how many uses of the authors' macros remain in the cleaned texts.

The second table shows whether the time grows linearly. It cleans one paper whose body is repeated 1, 2, 4, ... 64
times. If cleaning is linear, the MB/s stay constant.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

sys.path.insert(0, str(Path(__file__).parents[1]))

from filters.latex.paper import clean_latex
from pipeline.sources.arxiv.reader import ArxivReader
from pipeline.sources.source import InputFile

_PEERS = r"""
import json, os, pathlib, runpy, sys, tempfile, time, warnings
sources = json.load(sys.stdin)
warnings.simplefilter("ignore")
def cleaner(source):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "paper")
        path.mkdir()
        (path / "main.tex").write_text(source, "utf-8")
        sys.argv = ["arxiv_latex_cleaner", str(path)]
        try:
            runpy.run_module("arxiv_latex_cleaner", run_name="__main__")
        except SystemExit:
            pass
        return pathlib.Path(folder, "paper_arXiv", "main.tex").read_text("utf-8")
def to_text(source):
    from pylatexenc.latex2text import LatexNodes2Text
    return LatexNodes2Text().latex_to_text(source)
found = {}
sys.stdout, stdout = open(os.devnull, "w"), sys.stdout
for name, way in (("arxiv-latex-cleaner", cleaner), ("pylatexenc", to_text)):
    seconds, texts = 0.0, []
    for source in sources:
        began = time.process_time()
        try:
            texts.append(way(source))
        except Exception as error:
            texts.append(None)
        seconds += time.process_time() - began
    found[name] = (seconds, texts)
json.dump(found, stdout)
"""
_RP_HEADING = re.compile(
    r"\\(?:chapter|part|section|subsection|subsubsection|paragraph\subparagraph)\*?(?:\[.*?\])?\{", re.DOTALL
)
_RP_END = re.compile(
    r"\\appendix|\\begin\{references\}|\\begin\{REFERENCES\}|\\begin\{thebibliography\}|\\bibliography\{.*\}"
)
_RP_MACROS = (
    re.compile(r"\\newcommand\*?\{(\\[a-zA-Z0-9]+?)\}\{(.*?)\}$", re.MULTILINE),
    re.compile(r"\\def\s*(\\[a-zA-Z0-9]+?)\s*\{(.*?)\}$", re.MULTILINE),
)
_DEFINED = re.compile(r"\\(?:(?:re)?newcommand|providecommand|DeclareMathOperator|def)\*?\s*\{?\s*\\([A-Za-z]+)")


def open_file(path: str) -> BinaryIO:
    return Path(path).open("rb")


def read_papers(paths: Sequence[Path]) -> list[str]:
    """Returns the assembled LaTeX source of every paper in the tars."""
    reader = ArxivReader()
    units = reader.units([InputFile(str(path), path.stat().st_size) for path in paths], open_file)
    found = (item for unit in units for item in reader.read(unit, open_file))
    return [item["text"] for item in found if isinstance(item, dict)]


def redpajama(source: str) -> str | None:
    """Cleans one paper by RedPajama v1's method. Returns the text, or None if this method drops the whole paper."""
    heading = _RP_HEADING.search(source)
    text = source[heading.start() :] if heading else ""
    text = re.sub(r"^%.*\n?", "", text, flags=re.MULTILINE)
    text = re.sub(r"[^\\]%.+$", "", text, flags=re.MULTILINE)
    end = _RP_END.search(text)
    text = text[: end.start()] if end else text
    macros = {match[1]: match[2] for pattern in _RP_MACROS for match in pattern.finditer(source)}
    for name, value in macros.items():
        try:
            text = re.sub(f"({re.escape(name)})([^a-zA-Z0-9])", value.replace("\\", "\\\\") + r"\2", text)
        except (re.error, IndexError):
            return None
    return text or None


def macros_left(sources: Sequence[str], texts: Sequence[str | None]) -> str:
    """Returns the end of a system's line in the table: how many uses of macros remain in its ``texts``, how many the
    ``sources`` have, and for how many papers the system returned no text.
    """
    num_left = num_raw = 0
    for source, cleaned in zip(sources, texts, strict=True):
        names = set(_DEFINED.findall(source)) - {"section", "subsection"}
        body = source[max(source.find("\\begin{document}"), 0) :]
        num_raw += sum(name in names for name in re.findall(r"\\([A-Za-z]+)", body))
        text = cleaned or ""
        text = text[max(text.find("\\begin{document}"), 0) :]
        num_left += sum(name in names for name in re.findall(r"\\([A-Za-z]+)", text))
    num_lost = sum(text is None for text in texts)
    return f"{num_left:6} of {num_raw} macros left, {num_lost} papers lost"


def best_seconds(run: Callable[[], object], repeat: int) -> float:
    """Calls ``run`` several times, and returns the CPU seconds of the fastest call. Other work on the machine can only
    make a call slower.
    """
    seconds = float("inf")
    for _ in range(repeat):
        began = time.process_time()
        run()
        seconds = min(seconds, time.process_time() - began)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tars", nargs="+", type=Path)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--peers", help="a Python that has arxiv-latex-cleaner and pylatexenc")
    options = parser.parse_args()
    sources = read_papers(options.tars)
    num_mb = sum(len(source.encode()) for source in sources) / 1e6
    print(f"{len(sources)} papers, {num_mb:.2f} MB; best of {options.repeat}")

    def show(name: str, seconds: float, texts: Sequence[str | None]) -> None:
        print(f"{name:22} {num_mb / seconds:7.2f} MB/s  {macros_left(sources, texts)}")

    def clean_all() -> None:
        for source in sources:
            clean_latex(source)

    texts = [clean_latex(source).text for source in sources]
    reading = best_seconds(lambda: read_papers(options.tars), options.repeat)
    cleaning = best_seconds(clean_all, options.repeat)
    print(f"{'ours, reading':22} {num_mb / reading:7.2f} MB/s")
    show("ours, cleaning", cleaning, texts)
    show("ours, tar to text", reading + cleaning, texts)
    slowest = max(best_seconds(lambda source=source: clean_latex(source), 1) for source in sources)  # type: ignore[misc]
    print(f"{'slowest paper':22} {slowest:7.2f} s")
    seconds = best_seconds(lambda: [redpajama(source) for source in sources], options.repeat)
    show("RedPajama's way", seconds, [redpajama(source) for source in sources])
    if options.peers:
        ran = subprocess.run([options.peers, "-c", _PEERS], input=json.dumps(sources), capture_output=True, text=True)
        if ran.returncode:
            sys.exit(f"{options.peers}: {ran.stderr.strip()[-500:]}")
        for name, (seconds, found) in json.loads(ran.stdout).items():
            show(name, seconds, found)
    show_growth(max(sources, key=len))


def show_growth(source: str) -> None:
    """Repeats the body of one paper 1 to 64 times. Prints the MB/s of cleaning for each length."""
    begin = max(source.find("\\begin{document}"), 0)
    end = source.rfind("\\end{document}")
    head, body = source[:begin], source[begin : end if end > begin else len(source)].replace("\\begin{document}", "")
    for times in (1, 2, 4, 8, 16, 32, 64):
        grown = f"{head}\\begin{{document}}{body * times}\\end{{document}}"
        seconds = best_seconds(lambda grown=grown: clean_latex(grown), 1)  # type: ignore[misc]
        print(f"{len(grown) / 1e6:22.2f} MB {len(grown) / 1e6 / seconds:7.2f} MB/s")


if __name__ == "__main__":
    main()
