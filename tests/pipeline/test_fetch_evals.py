"""Tests the download of published evaluation sets from a local server: size limits and columns."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mixtures.decontaminate.read_sets import items_of
from mixtures.decontaminate.settings import read_settings
from pipeline.models.__main__ import main
from pipeline.models.evals import EVALS
from pipeline.models.fetch import FetchError, Published, fetch

GSM8K = b'{"question": "How many bolts does the robe take?", "answer": "2+1=3\\n#### 3"}\n'


class Server(http.server.ThreadingHTTPServer):
    """Serves ``files`` by path. If ``says_length`` is False, it does not send the length of a file."""

    files: dict[str, bytes]
    says_length = True


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        body = self.server.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        if self.server.says_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as made:
        made.files = {f"/{file.name}": GSM8K for file in EVALS["gsm8k"].files("gsm8k", None)}
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def mirror(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def test_a_set_is_fetched_with_its_columns(server: Server, tmp_path: Path) -> None:
    table = pa.Table.from_pylist([{"id": "a", "question": "Which?", "choices": {"text": ["x"], "label": ["A"]},
                                   "answerKey": "A"}])  # fmt: skip
    pq.write_table(table, tmp_path / "arc.parquet")
    (arc,) = EVALS["arc_easy"].files("arc_easy", None)
    server.files[f"/{arc.name}"] = (tmp_path / "arc.parquet").read_bytes()
    folder = tmp_path / "evals"
    assert main(["fetch-evals", "gsm8k", "--evals", str(folder), "--mirror", mirror(server)]) == 0
    assert main(["fetch-evals", "arc_easy", "--evals", str(folder), "--mirror", mirror(server)]) == 0
    sets = read_settings(str(folder / "sets.yaml")).sets
    assert [one.name for one in sets] == ["arc_easy", "gsm8k"]
    easy, math = (next(items_of(one)) for one in sets)
    assert (easy.id, easy.question, easy.answer, easy.choices) == ("a", "Which?", "A", ("x",))
    assert math.question == "How many bolts does the robe take?"
    known = json.loads((folder / "checksums.json").read_text())
    assert {name.partition("/")[0] for name in known} == {"gsm8k", "arc_easy"}


@pytest.mark.parametrize("says_length", [True, False])
def test_what_is_too_large_is_not_fetched(server: Server, tmp_path: Path, says_length: bool) -> None:
    server.says_length = says_length
    server.files["/large"] = b"x" * 3_000_000
    file = Published("set/large", mirror(server) + "/large", max_bytes=2_000_000)
    with pytest.raises(FetchError, match="more than the 2,000,000 bytes that it should have at most"):
        fetch(file, tmp_path, say=str)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert fetch(Published("set/large", file.url, max_bytes=3_000_000), tmp_path, say=str).stat().st_size == 3_000_000


def test_what_cannot_be_fetched_is_named(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch-evals", "gsm8k", "mmlu", "--evals", str(tmp_path), "--mirror", mirror(server)]) == 1
    error = capsys.readouterr().err
    assert "404" in error
    assert "mmlu" in error
    assert [one.name for one in read_settings(str(tmp_path / "sets.yaml")).sets] == ["gsm8k"]
    assert main(["fetch-evals", "nonsense", "--evals", str(tmp_path)]) == 2
    assert "there are: arc_challenge" in capsys.readouterr().err


def test_every_address_is_bounded_and_every_file_has_a_name_of_its_own() -> None:
    files = [file for name, one in EVALS.items() for file in one.files(name, None)]
    assert len({file.name for file in files}) == len(files) >= 9
    assert all(file.url.startswith("https://") and file.max_bytes for file in files)
    assert all(file.name.endswith((".jsonl", ".jsonl.gz", ".parquet")) for file in files)
