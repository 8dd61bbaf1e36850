"""Encodes text fast with models of LLaMA's kind (BPE with byte fallback).

Splits the text at places that no piece of the vocabulary can cross, and encodes every distinct part only once.

The ids are equal to SentencePiece's for the following reason. BPE makes a piece by merging neighbouring symbols. If a
merge crosses a place in the text, the new piece contains the two characters at that place next to each other. If no
piece of the vocabulary contains these two characters in a row, no merge ever crosses that place, and merges on one side
cannot affect the other side. So the text can be split there, and each part can be encoded alone. (In LLaMA's
vocabulary, these places are before a space, around a newline, between digits, and beside most punctuation marks.)

Equal parts get equal ids, so each part is first looked up in a cache of bounded size. All parts that are not in the
cache are encoded at once by :class:`tokenizer.merges.Merger`. If these parts are few or long, SentencePiece encodes
them instead.

Everything runs in numpy on the batch's UTF-8 buffer. No Python object is made per document or per cached part.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sentencepiece

from tokenizer import model_file as model_proto
from tokenizer.id_cache import PartCache
from tokenizer.merges import MAX_SYMBOLS, Merger, code_points, num_symbols

Array = np.ndarray[Any, Any]

_WINDOW_BYTES = 4 * 2**20
"""Text is processed in windows of about this size, to limit memory. The lengths of the documents do not matter."""
_MIN_MERGER_PARTS = 4_000
"""If there are fewer parts than this, SentencePiece is faster (measured). A round of merges takes about the same time
for few parts as for many.
"""
_MAX_MERGER_PART_CHARS = 48
"""SentencePiece encodes the parts that are longer than this (base64, lines of Chinese without a place to split). The
reason: SentencePiece's time grows only as n log n.
"""
_MARK = "\u2581"
_NORMALIZER_SPEC, _ADD_DUMMY_PREFIX = 3, 3


class FastBpe:
    """Encodes batches of texts with one model. Use :meth:`of` to make one."""

    name = "tokenizer.fast_bpe"

    def __init__(self, proto: model_proto.ModelProto, part_reference: Any, dtype: np.dtype[Any]) -> None:
        scores = {p.text.replace(_MARK, " "): p.score for p in proto.pieces if p.kind == model_proto.NORMAL}
        self._may_cut = ~_joinable(scores).reshape(-1)
        self._add_prefix = proto.add_dummy_prefix
        self._reference = part_reference
        self._dtype = dtype
        self._merger = Merger(scores)
        self._cache = PartCache(dtype)
        number = {piece.text.replace(_MARK, " "): i for i, piece in enumerate(proto.pieces) if piece.kind == 1}
        self._piece_id = np.array([number.get(s, -1) for s in self._merger.symbols] + [-1], np.int64)
        self._byte_id = np.zeros(256, np.int64)
        for i, piece in enumerate(proto.pieces):
            if piece.kind == model_proto.BYTE:
                self._byte_id[int(piece.text[3:5], 16)] = i

    @classmethod
    def of(cls, proto: model_proto.ModelProto, model: bytes, dtype: np.dtype[Any]) -> FastBpe | None:
        """Returns the fast encoder for a model. Returns None if the fast encoder does not support the model (see
        :func:`covers`).
        """
        if not covers(proto):
            return None
        return cls(proto, sentencepiece.SentencePieceProcessor(model_proto=_without_prefix(model)), dtype)

    def encode(self, texts: pa.Array) -> tuple[Array, Array]:
        """Returns two arrays: the ids of all texts, concatenated, and the number of ids of each text. ``texts`` is an
        Arrow array of type large_string without nulls.
        """
        data, starts = self._prefixed(texts)
        ids: list[Array] = []
        num_ids_before = np.zeros(len(starts), np.int64)
        at = total = 0
        while at < len(data):
            parts = self._cut(data, starts, at)
            part_ids, part_counts = self._encode_parts(data, parts)
            part_starts = np.cumsum(part_counts) - part_counts
            first, last = np.searchsorted(starts, [at, parts[-1]])
            num_ids_before[first:last] = total + part_starts[np.searchsorted(parts[:-1], starts[first:last])]
            ids.append(part_ids)
            total += len(part_ids)
            at = int(parts[-1])
        num_ids_before[np.searchsorted(starts, len(data)) :] = total
        flat = np.concatenate(ids) if ids else np.empty(0, self._dtype)
        return flat, np.diff(num_ids_before, append=total)

    def _prefixed(self, texts: pa.Array) -> tuple[Array, Array]:
        """Returns two arrays: the UTF-8 bytes of all texts, concatenated, and the offset at which each text begins.

        If the model requires it, a space is put before each text that is not empty.
        """
        if pc.any(pc.match_substring(texts, _MARK)).as_py():
            texts = pc.replace_substring(texts, _MARK, " ")  # SentencePiece treats them alike
        if self._add_prefix:
            nothing = pa.scalar("", pa.large_string())
            space = pa.scalar(" ", pa.large_string())
            texts = pc.if_else(
                pc.equal(pc.binary_length(texts), 0), nothing, pc.binary_join_element_wise(nothing, texts, space)
            )
        if not len(texts):
            return np.empty(0, np.uint8), np.empty(0, np.int64)
        offsets = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]
        buffer = texts.buffers()[2]
        data = np.frombuffer(buffer, np.uint8) if buffer is not None else np.empty(0, np.uint8)
        return data[offsets[0] : offsets[-1]], offsets[:-1] - offsets[0]

    def _cut(self, data: Array, starts: Array, at: int) -> Array:
        """Splits a window of the text into parts. (Text is processed in windows, to limit memory.) The window begins at
        ``at``.

        Returns the offsets at which the parts begin. One more offset, the last, is the end of the window.
        """
        num_bytes = _WINDOW_BYTES
        while True:
            end = min(at + num_bytes, len(data))
            window = data[at : end + 1]  # one byte more, so that the end of the window can be a border too
            pairs = window[:-1].astype(np.uint16)
            pairs <<= 8
            pairs |= window[1:]
            is_cut = np.empty(end - at + 1, bool)
            is_cut[0] = True
            is_cut[1 : len(pairs) + 1] = self._may_cut.take(pairs)
            first, last = np.searchsorted(starts, [at, end + 1])
            is_cut[starts[first:last] - at] = True
            is_cut[-1] |= end == len(data)
            cuts = np.flatnonzero(is_cut)
            if len(cuts) > 1:
                return cuts + at
            num_bytes *= 2  # there is no border, so the whole window is one part

    def _encode_parts(self, data: Array, parts: Array) -> tuple[Array, Array]:
        """Returns two arrays: the ids of all parts, concatenated, and the number of ids of each part. ``parts`` has the
        borders of the parts.
        """
        begin, size = parts[:-1], np.diff(parts)
        keys = self._cache.keys(data, begin, size)
        counts, missing = self._cache.counts(keys)
        if not len(missing):
            return self._cache.gather(keys, counts), counts
        distinct, which = _distinct(data, parts, missing)
        new_ids, new_counts = self._encode_distinct(distinct)
        counts[missing] = new_counts[which]
        ends = np.cumsum(new_counts)
        flat = self._cache.gather(keys, counts, skip=missing)
        _scatter(flat, counts, missing, new_ids, (ends - new_counts)[which])
        one_each = missing[np.unique(which, return_index=True)[1]]
        self._cache.put(keys, one_each, new_ids, new_counts)
        return flat, counts

    def _encode_distinct(self, parts: list[bytes]) -> tuple[Array, Array]:
        if len(parts) < _MIN_MERGER_PARTS:
            return self._by_reference(parts)
        chars, num_chars = code_points(parts)
        is_long = num_chars > _MAX_MERGER_PART_CHARS
        if not is_long.any():
            return self._by_merger(chars, num_chars)
        long_at = np.flatnonzero(is_long)
        short_ids, short_counts = self._by_merger(chars[np.repeat(~is_long, num_chars)], num_chars[~is_long])
        long_ids, long_counts = self._by_reference([parts[i] for i in long_at])
        counts = np.empty(len(parts), np.int64)
        counts[~is_long], counts[is_long] = short_counts, long_counts
        ids = np.empty(int(counts.sum()), self._dtype)
        of_long = np.repeat(is_long, counts)
        ids[of_long], ids[~of_long] = long_ids, short_ids
        return ids, counts

    def _by_reference(self, parts: list[bytes]) -> tuple[Array, Array]:
        encoded = self._reference.encode([part.decode("utf-8") for part in parts], num_threads=1)
        counts = np.fromiter(map(len, encoded), np.int64, len(encoded))
        return np.fromiter((i for ids in encoded for i in ids), self._dtype, int(counts.sum())), counts

    def _by_merger(self, chars: Array, num_chars: Array) -> tuple[Array, Array]:
        symbols, begin = self._merger.merge(chars, num_chars)
        row = np.searchsorted(np.cumsum(num_chars), begin, side="right")
        ids = self._piece_id[symbols]
        spelled = np.flatnonzero(ids < 0)
        if not len(spelled):
            return ids.astype(self._dtype), np.bincount(row, minlength=len(num_chars))
        return self._spell(ids, row, chars[begin], spelled, len(num_chars))

    def _spell(self, ids: Array, row: Array, char: Array, spelled: Array, num_rows: int) -> tuple[Array, Array]:
        """Replaces each character that is not a piece by the ids of its UTF-8 bytes.

        Returns two arrays: the ids of all rows, concatenated, and the number of ids of each row. A row is a part of a
        text.
        """
        width = np.ones(len(ids), np.int64)
        width[spelled] = _utf8_bytes(char[spelled])
        out = np.repeat(ids, width)
        data = np.frombuffer(char[spelled].astype("<u4").tobytes().decode("utf-32-le").encode(), np.uint8)
        out[np.repeat(ids, width) < 0] = self._byte_id[data]
        return out.astype(self._dtype), np.bincount(np.repeat(row, width), minlength=num_rows)


def covers(proto: model_proto.ModelProto) -> bool:
    """True if the fast encoder gives the same ids as SentencePiece for this model.

    The conditions are:

    - The model is a BPE model, and every byte has a piece.
    - Normalisation only writes spaces as U+2581. It removes no space and changes nothing else.
    - All pieces are normal, byte, control or unknown pieces. SentencePiece matches user-defined symbols before it
      merges, and splits unused pieces after it has merged.
    - Every piece of a single character is a normal piece.
    - The vocabulary has at most :data:`tokenizer.merges.MAX_SYMBOLS` symbols.
    """
    kinds = {p.kind for p in proto.pieces}
    normal = [p for p in proto.pieces if p.kind == model_proto.NORMAL]
    byte_pieces = {p.text for p in proto.pieces if p.kind == model_proto.BYTE}
    return (
        proto.model_type == model_proto.BPE
        and proto.byte_fallback
        and byte_pieces == {f"<0x{byte:02X}>" for byte in range(256)}
        and kinds <= {model_proto.NORMAL, model_proto.BYTE, model_proto.CONTROL, model_proto.UNKNOWN}
        and not (proto.charsmap or proto.treat_whitespace_as_suffix or proto.remove_extra_whitespaces)
        and proto.escape_whitespaces
        and not any(" " in p.text or not p.text for p in normal)
        and all(len(p.text) > 1 for p in proto.pieces if p.kind != model_proto.NORMAL)
        and num_symbols({p.text for p in normal}) <= MAX_SYMBOLS
    )


def _joinable(pieces: dict[str, float]) -> Array:
    """Returns a table that is True for each pair of bytes that are neighbours inside a piece, or inside a character.

    Text is not split between two such bytes.
    """
    joinable = np.zeros((256, 256), bool)
    joinable[:, 0x80:0xC0] = True  # never split before a continuation byte
    for piece in pieces:
        data = np.frombuffer(piece.encode("utf-8"), np.uint8)
        joinable[data[:-1], data[1:]] = True
    return joinable


def _without_prefix(model: bytes) -> bytes:
    """Returns the model without the option that puts a space before a text. With this option, every part of a text
    would get a space.
    """
    fields = []
    for number, wire, value in model_proto.fields(model):
        if number == _NORMALIZER_SPEC and isinstance(value, bytes):
            kept = model_proto.drop_fields(value, frozenset({_ADD_DUMMY_PREFIX}))
            value = kept + model_proto.encode_field(_ADD_DUMMY_PREFIX, 0, 0)
        fields.append(model_proto.encode_field(number, wire, value))
    return b"".join(fields)


def _distinct(data: Array, cuts: Array, wanted: Array) -> tuple[list[bytes], Array]:
    """Returns the wanted parts without repetitions, and for each wanted part its index in this list.

    ``cuts`` contains the borders of all parts. ``wanted`` contains the indices of some of these parts.
    """
    buffers = [None, pa.py_buffer(np.ascontiguousarray(cuts, np.int64)), pa.py_buffer(data)]
    column = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(cuts) - 1, buffers)
    encoded = column.take(pa.array(wanted)).dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy()


def _scatter(flat: Array, counts: Array, parts: Array, ids: Array, ids_begin: Array) -> None:
    """Copies the ids of some parts from ``ids`` to the places of these parts in ``flat``.

    ``counts`` has the number of ids of every part. ``parts`` has the indices of the parts to copy. For each of them,
    ``ids_begin`` has the index in ``ids`` at which its ids begin.
    """
    ends = np.cumsum(counts)
    size = counts[parts]
    within = np.arange(int(size.sum())) - np.repeat(np.cumsum(size) - size, size)
    flat[np.repeat(ends[parts] - size, size) + within] = ids[np.repeat(ids_begin, size) + within]


def _utf8_bytes(chars: Array) -> Array:
    return 1 + (chars >= 0x80).astype(np.int64) + (chars >= 0x800) + (chars >= 0x10000)
