"""Compares the passage dedup of a run with a simple search through all strings."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from filters.near.passages import BORDER_BYTES, STRIDE
from pipeline.run import main
from pipeline.settings.settings import parse

MIN_BYTES = 200
CONFIG = """
corpora:
  mine:
    files: %s/in/*.jsonl.gz
    columns: [id, text, topic]
    licence: none
    steps: [passage_dedup: {min_bytes: 200%s}]
"""


def prose(draw: random.Random, num_words: int) -> str:
    found = ["".join(draw.choice("abcdeéfghi") for _ in range(draw.randint(2, 9))) for _ in range(num_words)]
    return "".join(word + ("\n" if draw.random() < 0.1 else " ") for word in found)


def documents() -> dict[str, str]:
    """Returns documents. Many share passages of 100 to 900 bytes, and some contain a passage twice."""
    draw = random.Random(5)
    shared = [prose(draw, size) for size in (20, 40, 60, 90, 150) for _ in range(3)]
    found = {}
    for number in range(120):
        parts = [prose(draw, draw.randint(5, 60)) for _ in range(3)]
        parts[draw.randrange(3)] += draw.choice(shared) * draw.choice([1, 1, 2]) if draw.random() < 0.6 else ""
        parts.insert(draw.randrange(3), draw.choice(shared) if draw.random() < 0.4 else "")
        found[f"d{number}"] = "".join(parts)
    found["copy of d7"] = found["d7"]
    found["only a part"] = shared[-1][40:900]
    found["short"] = "A short one."
    return found


def run(
    folder: Path, texts: dict[str, str], num_files: int, *flags: str, more: str = ""
) -> tuple[dict[str, str], dict[str, int]]:
    """Runs the clean phase. Returns the kept texts by id, and the counts of the step."""
    (folder / "in").mkdir(parents=True)
    rows = [json.dumps({"id": one, "text": text, "topic": "ab"[len(one) % 2]}) + "\n" for one, text in texts.items()]
    for number in range(num_files):
        data = "".join(rows[number::num_files]).encode()
        (folder / "in" / f"{number}.jsonl.gz").write_bytes(gzip.compress(data, mtime=0))
    (folder / "run.yaml").write_text(CONFIG % (folder, more))
    assert main(["--config", str(folder / "run.yaml"), "--output", str(folder / "out"), "--phase=clean", *flags]) == 0
    kept = {}
    for path in sorted((folder / "out" / "clean" / "mine").glob("*.parquet")):
        kept |= {row["id"]: row["text"] for row in pq.read_table(path, columns=["id", "text"]).to_pylist()}
    (stage,) = (
        s for s in json.loads((folder / "out/stats/mine.json").read_text())["stages"] if s["stage"] == "passage_dedup"
    )
    return kept, {"in": stage["in"], "kept": stage["kept"], **stage["dropped"], **stage.get("noted", {})}


class Repeats:
    """Finds, in the simplest way, the strings of ``num_bytes`` bytes that already occurred in earlier text."""

    def __init__(self, num_bytes: int) -> None:
        self._num_bytes, self._seen = num_bytes, set[bytes]()

    def places(self, data: bytes) -> list[int]:
        """Returns the offsets in the next document at which such strings begin. Then adds the document's own
        strings.
        """
        found = []
        for at in range(len(data) - self._num_bytes + 1):
            string = data[at : at + self._num_bytes]
            if string in self._seen:
                found.append(at)
            self._seen.add(string)
        return found


def judged(texts: dict[str, str], kept: dict[str, str]) -> int:
    """Checks each document in the simplest way. Every cut text is kept somewhere else, and every long text that occurs
    twice was cut.

    Returns the number of bytes that were cut.
    """
    short, long = Repeats(MIN_BYTES), Repeats(MIN_BYTES + STRIDE - 1)
    total = 0
    for one in sorted(texts, key=lambda one: hashlib.md5(one.encode()).digest()[:8]):
        data, left = texts[one].encode(), kept.get(one, "").encode()
        may_go, must_go = bytearray(len(data)), bytearray(len(data))
        for at in short.places(data):
            may_go[at : at + MIN_BYTES] = b"x" * MIN_BYTES
        for at in long.places(data):  # one of its first 128 windows is repeated, and all of them cover these bytes
            must_go[at + STRIDE - 1 : at + MIN_BYTES] = b"x" * (MIN_BYTES - STRIDE + 1)
        rest = iter(left)
        assert all(byte in rest for byte, goes in zip(data, may_go, strict=True) if not goes), one
        num_runs = len(bytes(must_go).replace(b"\0", b" ").split())
        assert len(left) <= len(data) - must_go.count(b"x") + num_runs * 2 * (BORDER_BYTES + 4), one
        total += len(data) - len(left)
    return total


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return documents()


@pytest.fixture(scope="module")
def first(
    texts: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, str], dict[str, int]]:
    folder = tmp_path_factory.mktemp("passages")
    return folder, *run(folder, texts, 3, "--direct_num_workers=1")


def test_what_stands_twice_is_cut_and_nothing_else(
    texts: dict[str, str], first: tuple[Path, dict[str, str], dict[str, int]]
) -> None:
    folder, kept, counts = first
    num_cut = judged(texts, kept)
    gone = texts.keys() - kept.keys()
    assert num_cut > 20_000
    expected = {"in": len(texts), "kept": len(kept), "no_text_left": len(gone), "bytes": num_cut}
    assert counts == {**expected, "passages": counts["passages"]}
    assert len({"copy of d7", "d7"} & gone) == 1
    dropped = pq.read_table(next((folder / "out" / "dropped" / "mine").glob("*.parquet"))).to_pylist()
    assert {row["id"]: (row["reason"], row["text"]) for row in dropped} == {
        one: ("no_text_left", texts[one]) for one in gone
    }
    assert kept["short"] == texts["short"]


@pytest.mark.slow
@pytest.mark.parametrize(("num_files", "workers"), [(1, "2"), (7, "1")])
def test_files_and_workers_change_nothing(
    texts: dict[str, str],
    first: tuple[Path, dict[str, str], dict[str, int]],
    tmp_path: Path,
    num_files: int,
    workers: str,
) -> None:
    shuffled = dict(random.Random(1).sample(sorted(texts.items()), len(texts)))
    kept, counts = run(tmp_path, shuffled, num_files, f"--direct_num_workers={workers}")
    assert (kept, counts) == (first[1], first[2])


def test_a_line_dedup_after_it_sees_the_cut_texts(
    texts: dict[str, str], first: tuple[Path, dict[str, str], dict[str, int]], tmp_path: Path
) -> None:
    kept, counts = run(tmp_path, texts, 3, more="}, line_dedup: {lines: c4, keep: first, scope: document")
    assert counts == first[2]
    for one, text in kept.items():
        seen = [line.strip().lower() for line in first[1][one].split("\n")]
        lines = [line for at, line in enumerate(first[1][one].split("\n")) if line.strip().lower() not in seen[:at]]
        assert text == "\n".join(lines)


@pytest.mark.slow
def test_scopes(texts: dict[str, str], tmp_path: Path) -> None:
    kept, _ = run(tmp_path / "topic", texts, 2, more=", scope: topic")
    for topic in (0, 1):
        some = {one: text for one, text in texts.items() if len(one) % 2 == topic}
        judged(some, {one: text for one, text in kept.items() if one in some})
    kept, counts = run(tmp_path / "document", texts, 2, more=", scope: document")
    for one, text in texts.items():
        judged({one: text}, {one: kept[one]})
    assert counts["no_text_left"] == 0 if "no_text_left" in counts else True
    assert counts["passages"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("on", ""),
        ("{min_bytes: 1K, scope: language}", ""),
        ("{min_bytes: 127}", "min_bytes must be at least 128, not 127"),
        ("{scope: topics}", "scope must be one of"),
        ("{rank: url}", "rank"),
        ("{min_words: 5}", "min_words"),
    ],
)
def test_any_source_can_have_the_step(
    settings: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(f"sources: {{c4: {{passage_dedup: {settings}}}}}")
    pages = tmp_path / "c4-train.00000-of-00001.json.gz"
    pages.write_bytes(gzip.compress(b""))
    flags = ["--config", str(path), f"--input=c4={pages}"]
    assert "passage_dedup" not in [step.NAME for step in parse(flags[2:]).sources["c4"].steps]
    if not said:
        assert parse(flags).sources["c4"].steps[-1].NAME == "passage_dedup"
        return
    assert main([*flags, "--phase=clean", "--output", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err
