"""Tests the records of trained models: their content, and how they get into the manifest and the report."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from small import prose

from pipeline.models.__main__ import main
from pipeline.models.fetch import CHECKSUMS
from pipeline.models.find import find_models
from pipeline.models.trained import RECORDS, about_models, described, doubts, files_of

ARPA = Path(__file__).parents[1] / "cases/common_crawl/tiny.arpa"
FAKE_LMPLZ = """#!{python}
import sys
sys.stdin.read()
print("=== 1/5 Counting and sorting n-grams ===", file=sys.stderr)
print("----5---10---15", file=sys.stderr)
print("=== 5/5 Writing ARPA model ===", file=sys.stderr)
sys.stdout.write(open({arpa!r}, encoding="utf-8").read())
"""


@pytest.fixture
def models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Returns a folder with the models of one language, trained on 150 documents."""
    lmplz = tmp_path / "lmplz"
    lmplz.write_text(FAKE_LMPLZ.format(python=sys.executable, arpa=str(ARPA)), "utf-8")
    lmplz.chmod(lmplz.stat().st_mode | stat.S_IXUSR)
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"text": prose(f"text {n}", 40)}) + "\n" for n in range(150)))
    folder = tmp_path / "models"
    common = ["--models", str(folder), "--language", "en", "--input", str(corpus)]
    assert main(["train-lm", *common, "--lmplz", str(lmplz), "--vocab_size", "70"]) == 0
    told = capsys.readouterr().err
    assert "train-lm: en: 150 documents" in told
    assert "train-lm: lmplz: 1/5 Counting and sorting n-grams" in told
    assert "----5" not in told
    assert main(["cutoffs", *common]) == 0
    told = capsys.readouterr().out
    assert "from 150 documents" in told
    assert "the cut-offs of en rest on 150 documents, so the share of pages below a cut-off is known to ± 8.0" in told
    return folder


def described_files(folder: Path) -> dict[str, str]:
    return {one["name"]: described(one) for one in files_of(find_models(str(folder))["perplexity"])}


def test_a_record_says_the_size_and_the_date(models: Path) -> None:
    found = described_files(models)
    ngrams = next(name for name in found if name.startswith("en.arpa"))
    date = json.loads((models / RECORDS).read_text())[ngrams]["date"]
    text_bytes = json.loads((models / RECORDS).read_text())[ngrams]["text_bytes"]
    assert 20_000 < text_bytes < 60_000, "150 documents of 40 words"
    assert found == {
        "cutoff.csv": f"150 documents, {date}",
        ngrams: f"150 documents, 0.0 MB of text, {date}",
        "en.sp.model": f"150 documents, 0.0 MB of text, {date}",
    }


def test_a_replaced_file_has_no_record(models: Path) -> None:
    """A record contains the file's checksum. So it does not count for another file with the same name."""
    table = (models / "cutoff.csv").read_text()
    (models / "cutoff.csv").write_text(table.replace("\n30,", "\n30,1"))
    with (models / "en.sp.model").open("ab") as file:
        file.write(b"\0")
    found = described_files(models)
    assert (found["cutoff.csv"], found["en.sp.model"]) == ("unknown", "unknown")
    records = json.loads((models / RECORDS).read_text())
    for wrong in ({"documents": "many"}, {"text_bytes": 1.5}, {"date": 2026}, {"documents": None}):
        (models / RECORDS).write_text(json.dumps({name: {**one, **wrong} for name, one in records.items()}))
        assert set(described_files(models).values()) == {"unknown"}
    (models / RECORDS).write_text(json.dumps({name: {"date": "x", "sha256": "y"} for name in records}))
    assert set(described_files(models).values()) == {"unknown"}
    (models / RECORDS).write_text("{broken")
    assert set(described_files(models).values()) == {"unknown"}


def test_a_column_beside_fetched_ones(models: Path, tmp_path: Path) -> None:
    """The fetched table gets a second column. The table's checksum is removed, because the table is no longer the
    published one. Each column still has its own origin.
    """
    import hashlib

    fetched = "\n".join([",de", *(f"{p},{p}" for p in range(101))]) + "\n"
    (models / "cutoff.csv").write_text(fetched)
    digest = hashlib.sha256(fetched.encode()).hexdigest()
    (models / CHECKSUMS).write_text(json.dumps({"cutoff.csv": {"sha256": digest, "bytes": 1, "url": "https://a.b/c"}}))
    corpus = tmp_path / "corpus.jsonl"
    assert main(["cutoffs", "--models", str(models), "--language", "en", "--input", str(corpus)]) == 0
    assert json.loads((models / CHECKSUMS).read_text()) == {}
    for name in ("de.sp.model", "de.arpa"):
        (models / name).write_bytes((models / "en.sp.model").read_bytes())
    of_tables = {
        one["language"]: described(one)
        for one in files_of(find_models(str(models))["perplexity"])
        if one["name"] == "cutoff.csv"
    }
    assert of_tables["de"] == "published at https://a.b/c"
    assert of_tables["en"].startswith("150 documents, ")


def test_what_the_manifest_says(models: Path) -> None:
    found: dict[str, Any] = about_models(find_models(str(models)))
    assert found["perplexity"]["files"] == files_of(find_models(str(models))["perplexity"])
    assert described(found["language"]["files"][0]).startswith("published at https://")


def test_large_models_raise_no_doubt() -> None:
    large = {"name": "en.arpa.bin", "documents": 500_000, "text_bytes": 200_000_000}
    assert doubts([large, {"name": "cutoff.csv", "language": "en", "documents": 1_000}]) == []
    assert doubts([{"name": "reference.bin", "positives": 1_000, "negatives": 9, "text_bytes": 5}]) == []
    assert len(doubts([{"name": "reference.bin", "positives": 999, "negatives": 9, "text_bytes": 5}])) == 1
    assert doubts([{"name": "en.arpa.bin"}, {"name": "en.sp.model", "url": "https://a.b"}]) == []


def test_models_are_listed(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--models", str(models)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert any(line.startswith("perplexity  cutoff.csv (en)") and "150 documents" in line for line in said)
    assert any(line.startswith("reference   missing; ") and "train-reference" in line for line in said)
    assert "look at this: the cut-offs of en rest on 150 documents" in "\n".join(said)
    assert main(["list", "--models", str(models), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert sorted(found["models"]) == ["language", "perplexity"]
    assert sorted(found["missing"]) == ["bad_words", "reference"]
    assert len(found["doubts"]) == 2
    (models / "cutoff.csv").unlink()
    assert main(["list", "--models", str(models)]) == 0
    assert "cutoff.csv: en missing; compute it with `python -m pipeline.models cutoffs" in capsys.readouterr().out


def test_training_prints_json(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = tmp_path / "corpus.jsonl"
    common = ["--models", str(models), "--language", "en", "--input", str(corpus), "--json"]
    assert main(["cutoffs", *common]) == 0
    found = json.loads(capsys.readouterr().out)
    column = [line.split(",")[1] for line in (models / "cutoff.csv").read_text().splitlines()]
    assert found["documents"] == 150
    assert found["head_below"] == float(column[31])
    assert main(["train-lm", *common, "--lmplz", str(tmp_path / "lmplz"), "--vocab_size", "70"]) == 0
    assert all(Path(path).is_file() for path in json.loads(capsys.readouterr().out)["written"])
    pages = tmp_path / "cited.jsonl"
    pages.write_text("".join(
        json.dumps({"text": prose(f"cited {n}", 250), "url": f"https://s{n % 40}.example/{n}"}) + "\n"
        for n in range(120)
    ))  # fmt: skip
    given = ["--positives", str(pages), "--negatives", str(corpus), "--models", str(models), "--json"]
    assert main(["train-reference", *given]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["is_meaningful"] is False
    assert sum(found["trained_on"].values()) + sum(found["held_out"].values()) == 270
    (about,) = files_of(find_models(str(models))["reference"])
    assert about["positives"] == found["trained_on"]["__label__wiki"]
    assert doubts([about])


def test_models_without_cutoffs_are_told_how_to_get_them(models: Path, tmp_path: Path, capsys: Any) -> None:
    """If cut-offs are missing for a trained model, the message names the command that makes them, and not a download of
    another model.
    """
    from pipeline.run import main as run

    (models / "cutoff.csv").unlink()
    pages = tmp_path / "CC-MAIN-2019-30" / "a.warc.wet"
    pages.parent.mkdir()
    pages.write_bytes(b"WARC/1.0\r\nWARC-Type: warcinfo\r\nContent-Length: 0\r\n\r\n\r\n\r\n")
    given = [f"--input=common_crawl={pages}", f"--models={models}", f"--output={tmp_path}/out", "--phase=clean"]
    assert run(given) == 2
    said = capsys.readouterr().err
    assert f"compute it with `python -m pipeline.models cutoffs --models {models} --language en --input GLOB`" in said
