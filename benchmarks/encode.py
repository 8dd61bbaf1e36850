"""Compares our encoder with its peers: MB of text per second of one core, and whether SentencePiece gives the same ids.

Run: ``python benchmarks/encode.py --model FILE.model TEXT_OR_FOLDER... [--cold FOLDER] [--rounds N] [--mb N]``

- ours: ``tokenizer.encode.Encoder``, with an empty cache at the start of every round;
- sentencepiece: ``SentencePieceProcessor.encode`` of a list, one thread;
- tokenizers: Hugging Face's ``encode_batch``, with the pieces of FILE.model, merged in SentencePiece's order;
- tiktoken: the same pieces. It also gets the first bytes of every multi-byte character as pieces, because it builds
  such a character by merging its bytes one by one;
- gigatoken: the ``tokenizer.json`` that a run writes next to the model, one thread;
- kitoken: FILE.model itself;
- datatrove: its ``DocumentTokenizer`` with the model of the row "tokenizers". It also writes the ids to a file.

A peer that cannot be imported is reported as skipped. Texts are read from ``.txt .md .rst .py .tex .xml .json .html``,
WET (``.wet.gz``) and clean Parquet files; each distinct text is used once. The time is the process's CPU time in the
best round. Ours, sentencepiece and gigatoken are timed on all texts, the other peers on one text in three. Our ids are
compared on all texts, those of the peers on one text in twenty.

With ``--cold`` the measurement is repeated on a second set of texts, for example in mixed languages. The last line
compares one document of 50 million characters with the same text split into documents of 5,000 characters.
"""

from __future__ import annotations

import argparse
import gzip
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.update(RAYON_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false", OMP_NUM_THREADS="1")

import numpy as np
import pyarrow.parquet as pq
import sentencepiece

from tokenizer import model_file as model_proto
from tokenizer.encode import Encoder
from tokenizer.hugging_face import tokenizer_json

MARK = "\u2581"
ENDS = (".txt", ".md", ".rst", ".py", ".tex", ".xml", ".json", ".html")
BATCH_DOCS, BATCH_BYTES = 256, 4 << 20
MAX_FILE_BYTES = 4 << 20
Ids = list[Any]
Encode = Callable[[list[str]], Ids]


def texts_of(paths: list[Path], max_bytes: int) -> list[str]:
    """Returns distinct texts, up to about ``max_bytes`` bytes."""
    found: dict[str, None] = {}
    left = max_bytes
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            for text in _texts(file):
                if text and text not in found and left > 0:
                    found[text] = None
                    left -= len(text.encode())
            if left <= 0:
                return list(found)
    return list(found)


def _texts(file: Path) -> Iterator[str]:
    if not file.is_file() or file.is_symlink():
        return
    if file.suffix == ".parquet":
        for batch in pq.ParquetFile(file).iter_batches(columns=["text"]):
            yield from batch.column("text").to_pylist()
    elif file.name.endswith(".wet.gz"):
        data = gzip.decompress(file.read_bytes()).split(b"WARC/1.0\r\n")
        yield from (record.partition(b"\r\n\r\n")[2].decode("utf-8", "replace") for record in data[2:])
    elif file.suffix in ENDS and file.stat().st_size <= MAX_FILE_BYTES:
        try:
            yield file.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            return


def batches(texts: list[str]) -> Iterator[list[str]]:
    held, held_bytes = [], 0
    for text in texts:
        held.append(text)
        held_bytes += len(text)
        if len(held) >= BATCH_DOCS or held_bytes >= BATCH_BYTES:
            yield held
            held, held_bytes = [], 0
    if held:
        yield held


def ours(model: bytes) -> Encode:
    encoder = Encoder.load(model, bos=False, eos=False)
    return lambda texts: list(encoder.encode_batch(texts))


def reference(model: bytes) -> Encode:
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return lambda texts: list(processor.encode(texts, num_threads=1))


def pieces_and_merges(model: bytes) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Reads a SentencePiece model. Returns a dict from each piece to its id, and the merges (pairs of pieces) in the
    order in which SentencePiece makes them.
    """
    proto = model_proto.parse(model)
    number = {piece.text: i for i, piece in enumerate(proto.pieces)}
    scores = {p.text: p.score for p in proto.pieces if p.kind == model_proto.NORMAL}
    merges = [
        (-score, number[text[:k]], number[text[k:]], text[:k], text[k:])
        for text, score in scores.items()
        for k in range(1, len(text))
        if text[:k] in scores and text[k:] in scores
    ]
    return number, [(left, right) for *_, left, right in sorted(merges)]


def hugging_face_model(model: bytes) -> Any:
    from tokenizers import Tokenizer, models, normalizers

    number, merges = pieces_and_merges(model)
    made = Tokenizer(models.BPE(number, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)])
    return made


def hugging_face(model: bytes) -> Encode:
    made = hugging_face_model(model)
    return lambda texts: [one.ids for one in made.encode_batch(texts, add_special_tokens=False)]


def tiktoken(model: bytes) -> Encode:
    from tiktoken import Encoding

    proto = model_proto.parse(model)
    normal = [(i, p.text.replace(MARK, " ")) for i, p in enumerate(proto.pieces) if p.kind == model_proto.NORMAL]
    chars = {char for _, text in normal for char in text if ord(char) > 127}
    byte_ids = [int(i) for i, p in enumerate(proto.pieces) if p.kind == model_proto.BYTE]
    ranks = {bytes([b]): b for b in range(256)}
    spelled: list[list[int]] = [[i] for i in byte_ids]

    def add(data: bytes, ids: list[int]) -> None:
        if data not in ranks:
            ranks[data] = len(ranks)
            spelled.append(ids)

    for size in (2, 3, 4):  # first the beginnings of characters, then the characters themselves
        for char in sorted(chars):
            data = char.encode()
            if size < len(data):
                add(data[:size], [byte_ids[b] for b in data[:size]])
    by_text = {text: i for i, text in normal}
    for char in sorted(chars):
        add(char.encode(), [by_text[char]] if char in by_text else [byte_ids[b] for b in char.encode()])
    for i, text in sorted(normal, key=lambda one: -proto.pieces[one[0]].score):
        if len(text) > 1:
            add(text.encode(), [i])
    for i, text in normal:
        if len(text) == 1 and ord(text) < 128:
            spelled[ord(text)] = [i]
    made = Encoding("same pieces", pat_str=r"\n| *[^ \n]+| +", mergeable_ranks=ranks, special_tokens={})
    one_id = np.array([ids[0] if len(ids) == 1 else -1 for ids in spelled], np.int64)

    def encode(texts: list[str]) -> Ids:
        found = []
        for text in texts:
            symbols = made.encode_ordinary(" " + text.replace(MARK, " ")) if text else []
            ids = one_id[symbols] if symbols else one_id[:0]
            found.append([i for s in symbols for i in spelled[s]] if len(ids) and ids.min() < 0 else ids)
        return found

    return encode


def gigatoken(model: bytes) -> Encode:
    import gigatoken as library

    text = tokenizer_json(model)
    assert text is not None, "this model has no tokenizer.json"
    made = library.Tokenizer.from_json(text)

    def encode(texts: list[str]) -> Ids:
        layout = made.encode_batch(texts, parallel=False).layout
        return np.split(np.asarray(layout.content.data), np.asarray(layout.offsets.data)[1:-1])

    return encode


def kitoken(model: bytes) -> Encode:
    from kitoken import Kitoken

    made = Kitoken.from_sentencepiece(model)
    return lambda texts: made.encode_all(texts, False)


def datatrove(model: bytes) -> Encode:
    from datatrove.data import Document
    from datatrove.pipeline.tokens import DocumentTokenizer
    from datatrove.utils.logging import logger

    logger.remove()
    folder = tempfile.mkdtemp()
    hugging_face_model(model).save(f"{folder}/tokenizer.json")

    def encode(texts: list[str]) -> Ids:
        step = DocumentTokenizer(folder, tokenizer_name_or_path=f"{folder}/tokenizer.json", eos_token=None,
                                 shuffle_documents=False, save_filename="x")  # fmt: skip
        for _ in step.run([Document(text=text, id=str(i)) for i, text in enumerate(texts)]) or ():
            pass
        (path,) = Path(folder).glob("*.ds")
        ids, ends = np.fromfile(path, np.uint16), np.fromfile(f"{path}.index", np.uint64).astype(int)
        return [part.tolist() for part in np.split(ids, ends[:-1])]

    return encode


PEERS: dict[str, Callable[[bytes], Encode]] = {
    "ours": ours,
    "sentencepiece": reference,
    "Hugging Face tokenizers": hugging_face,
    "tiktoken, same pieces": tiktoken,
    "gigatoken": gigatoken,
    "kitoken": kitoken,
    "datatrove's step": datatrove,
}


def measure(make: Encode, texts: list[str], rounds: Callable[[], Encode] | None = None) -> float:
    """Encodes all texts by calls of ``make``, one per batch. Returns the bytes of text per second of the process's CPU
    time.
    """
    begun = time.process_time()
    for batch in batches(texts):
        make(batch)
    return sum(len(t.encode()) for t in texts) / (time.process_time() - begun)


def compare(model: bytes, texts: list[str], rounds: int) -> None:
    size = sum(len(t.encode()) for t in texts)
    print(f"{len(texts):,} texts, {size / 1e6:.1f} MB, longest {max(map(len, texts)):,} characters, best of {rounds}")
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    rates: dict[str, float] = {}
    for name, make in PEERS.items():
        try:
            make(model)
        except ImportError as error:
            print(f"{name:26} skipped: {error}")
            continue
        some = (
            texts
            if name in ("ours", "sentencepiece", "gigatoken")
            else texts[:: max(1, len(texts) * 20_000_000 // size and 3)]
        )
        rates[name] = max(measure(make(model), some) for _ in range(rounds))
        equal = differ = 0
        checked = texts if name == "ours" else texts[::20]
        encode = make(model)
        for batch in batches(checked):
            for text, ids in zip(batch, encode(batch), strict=True):
                same = list(ids.values.to_numpy() if name == "ours" else ids) == processor.encode(text)
                equal, differ = equal + same, differ + (not same)
        print(
            f"{name:26} {rates[name] / 1e6:7.2f} MB/s   {rates[name] / rates.get('sentencepiece', rates[name]):5.1f} x"
            f"   ids equal on {equal:,} of {equal + differ:,}",
            flush=True,
        )
    if "sentencepiece" in rates:
        print(f"ours / sentencepiece: {rates['ours'] / rates['sentencepiece']:.1f} x")


def long_document(model: bytes, texts: list[str]) -> None:
    whole = "\n".join(texts)
    whole = (whole * (50_000_000 // len(whole) + 1))[:50_000_000]
    parts = [whole[i : i + 5_000] for i in range(0, len(whole), 5_000)]
    long, short = (max(measure(ours(model), some) for _ in range(2)) for some in ([whole], parts))
    print(f"one document of 50 M characters {long / 1e6:.1f} MB/s, the same in 5,000 each {short / 1e6:.1f} MB/s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--cold", type=Path, nargs="+", help="a second set of texts")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--mb", type=int, default=60, help="of text at most")
    args = parser.parse_args()
    model = args.model.read_bytes()
    print(f"{args.model.name}: {len(model_proto.parse(model).pieces):,} pieces")
    texts = texts_of(args.texts, args.mb * 1_000_000)
    compare(model, texts, args.rounds)
    if args.cold:
        compare(model, texts_of(args.cold, 14_000_000), args.rounds)
    long_document(model, texts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
