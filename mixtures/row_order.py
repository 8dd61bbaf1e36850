"""Packs a stream of tokens into rows, and defines the order of the rows. A row is one training sequence.

The rows and their order depend only on the stream and the settings.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import xxhash

from mixtures.batch import PADDING
from mixtures.best_fit import RowPlan, count_rows, pack
from mixtures.loader_settings import LoaderSettings
from mixtures.packing import PackedDocument, PackedSegments, documents_at, find, joined
from mixtures.permutation import Permutation
from mixtures.stream import TokenStream

Array = np.ndarray[Any, Any]

REMOTE_WINDOW_SEQUENCES = 65_536
"""Default window for shards in an object store. 65,536 sequences of 2,048 tokens fill one shard of 256 MB. So the
sequences of a window are in two or three shards."""
_MAX_PERMUTATIONS = 64
_MAX_PLANS = 4
"""Number of row plans that are cached. The plan of one shard takes about 4 MB."""
_ROW_BITS = 32
"""In best-fit packing, the number of a row is (number of the shard) * 2**32 + (place of the row in the shard)."""


class RowOrder(Protocol):
    """Defines the rows of seq_len + 1 tokens, and the order in which they are read. All ranks share one order."""

    num_rows: int
    """Number of rows per epoch."""

    def numbers(self, places: Array) -> Array:
        """Returns the numbers of the rows that are read at these places. Place 0 is read first. The first place of an
        epoch follows the last place of the epoch before.
        """

    def find(self, numbers: Array) -> PackedSegments:
        """Returns the tokens of the rows with these numbers, and where the documents' pieces (segments) begin."""

    def documents(self, number: int) -> list[PackedDocument]:
        """Returns the pieces of documents in a row."""

    def settings(self) -> dict[str, int | str]:
        """Returns the settings that determine this order. A loader's saved state must have the same settings to be
        loaded.
        """

    def rows_at(self, seq_len: int) -> int:
        """Returns the number of rows per epoch that this stream would have with another seq_len."""

    def place_of(self, state: Mapping[str, Any]) -> int:
        """Returns the place at which a training continues from a state that was saved with another seq_len."""


def make_row_order(stream: TokenStream, settings: LoaderSettings) -> RowOrder:
    """Returns the order of the stream's rows, for the packing in the settings (``concatenate`` or ``best_fit``).

    Raises ValueError if the packing is ``best_fit`` and the shards are not on a local disk.
    """
    return BestFitRows(stream, settings) if settings.packing == "best_fit" else ConcatenatedRows(stream, settings)


class _Cache:
    """Caches the most recently used results."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        if key in self._kept:
            self._kept.move_to_end(key)
        else:
            self._kept[key] = make()
            if len(self._kept) > self._size:
                self._kept.popitem(last=False)
        return self._kept[key]


class ConcatenatedRows:
    """Cuts the stream every seq_len tokens. Row i begins at token ``i * seq_len``. It has seq_len + 1 tokens, so its
    last token is also the first token of the next row.

    Neighbouring rows form a cell of max_seq_len tokens, and neighbouring cells form a window. The cells of a window are
    shuffled, and the rows of a cell stay in order. The cells do not depend on seq_len. So the tokens are read in the
    same order with every seq_len.
    """

    def __init__(self, stream: TokenStream, settings: LoaderSettings) -> None:
        self._stream, self._settings = stream, settings
        self._cell_len = settings.max_seq_len or settings.seq_len
        self._cell_rows = self._cell_len // settings.seq_len
        self._num_cells = max(0, (stream.num_tokens - 1) // self._cell_len)
        self.num_rows: int = self._num_cells * self._cell_rows
        window = settings.window_sequences
        if window is None:
            window = REMOTE_WINDOW_SEQUENCES if stream.storage.is_remote else 0
        self._window: int = min(window or self._num_cells, self._num_cells)
        self._permutations = _Cache(_MAX_PERMUTATIONS)

    def numbers(self, places: Array) -> Array:
        epochs, within = np.divmod(places, self.num_rows)
        if not self._settings.shuffle:
            return np.asarray(within)
        cells, row = np.divmod(within, self._cell_rows)
        windows, at = np.divmod(cells, self._window)
        numbers = np.empty_like(within)
        key = epochs * -(-self._num_cells // self._window) + windows
        for one in np.unique(key).tolist():
            chosen = np.flatnonzero(key == one)
            window = int(windows[chosen[0]])
            order = self._permutation(int(epochs[chosen[0]]), window)
            numbers[chosen] = (window * self._window + order(at[chosen])) * self._cell_rows + row[chosen]
        return numbers

    def find(self, numbers: Array) -> PackedSegments:
        return find(self._stream, numbers * self._settings.seq_len, self._settings.seq_len + 1)

    def documents(self, number: int) -> list[PackedDocument]:
        return documents_at(self._stream, number * self._settings.seq_len, self._settings.seq_len + 1)

    def settings(self) -> dict[str, int | str]:
        window = self._window if self._window < self._num_cells else 0
        return {"packing": "concatenate", "max_seq_len": self._cell_len, "window_sequences": window}

    def rows_at(self, seq_len: int) -> int:
        return self._num_cells * (self._cell_len // seq_len)

    def place_of(self, state: Mapping[str, Any]) -> int:
        tokens = int(state["sequences"]) * int(state["seq_len"])
        return -(-tokens // self._settings.seq_len)

    def _permutation(self, epoch: int, window: int) -> Permutation:
        framed = f"sequences {self._settings.seed} {epoch} {window}".encode()
        size = min(self._window, self._num_cells - window * self._window)
        made: Permutation = self._permutations.get(
            framed, lambda: Permutation(size, key=xxhash.xxh3_64_intdigest(framed))
        )
        return made


@dataclass(frozen=True, slots=True)
class _ShardRows:
    """Lists the pieces of documents in the rows of one shard, row by row. If a row is not full, its last piece is
    padding.
    """

    documents: Array
    """int32: for each piece, the number of its document in the shard. Padding has 0."""
    begins: Array
    """int64: the offset of each piece's first token in its document."""
    lengths: Array
    """int64: the number of tokens in each piece."""
    blocks: Array
    """int32: for each piece, the index of its block in the shard. For padding, it is the number of blocks."""
    places: Array
    """int64: for each piece, the place of its first token in the block."""
    sources: Array
    """int8: the source of each piece. For padding, it is `PADDING` (-1)."""
    ends: Array
    """int64: row r has the pieces from index ``ends[r]`` to before ``ends[r + 1]``. ``ends[0]`` is 0."""

    @classmethod
    def of(cls, stream: TokenStream, shard: int, seq_len: int) -> _ShardRows:
        """Packs the documents of a shard into rows. Finds the record batch (block) of each piece, and the piece's place
        in it.
        """
        lengths, blocks = stream.document_lengths(shard), stream.open(shard).blocks
        plan: RowPlan = pack(lengths, seq_len)
        first_tokens = (np.cumsum(lengths, dtype=np.int64) - lengths)[plan.documents] + plan.begins
        block_begins = stream.open(shard).begins
        block = block_begins.searchsorted(first_tokens, "right") - 1
        room = seq_len + 1 - np.add.reduceat(plan.lengths, plan.ends[:-1])
        is_padded = room > 0
        at = plan.ends[1:][is_padded]
        return cls(
            documents=np.insert(plan.documents, at, 0).astype(np.int32),
            begins=np.insert(plan.begins, at, 0),
            lengths=np.insert(plan.lengths, at, room[is_padded]),
            blocks=np.insert(block, at, len(blocks)).astype(np.int32),
            places=np.insert(first_tokens - block_begins[block], at, 0),
            sources=np.insert(np.concatenate([one.sources for one in blocks])[plan.documents], at, PADDING),
            ends=plan.ends + np.concatenate([[0], np.cumsum(is_padded)]),
        )


class BestFitRows:
    """Packs the documents of each shard into rows with the best-fit decreasing method, and shuffles the rows.

    The order of the shards is shuffled, and so is the order of the rows within each shard. Each
    shard is a random sample of the whole mixture, so this mixes the sources well enough. Each shard is packed
    separately, which adds only little padding.
    """

    def __init__(self, stream: TokenStream, settings: LoaderSettings) -> None:
        if stream.storage.is_remote:
            raise ValueError(
                "packing best_fit reads the lengths of all documents first, so it needs the shards on a local disk: "
                f"copy {stream.storage.place('')} to one, or take packing concatenate"
            )
        self._stream, self._settings = stream, settings
        self._rows = self._count(settings.seq_len)
        self.num_rows: int = int(self._rows.sum())
        eos_id = int(stream.manifest["tokenizer"]["eos_id"])
        self._pad_id = max(0, eos_id)
        self._plans, self._permutations, self._epochs = _Cache(_MAX_PLANS), _Cache(_MAX_PERMUTATIONS), _Cache(4)

    def _count(self, seq_len: int) -> Array:
        """Returns the number of rows into which each shard is packed. The stream caches the result for other loaders
        and workers.
        """
        counts = self._stream.row_counts
        if seq_len not in counts:
            lengths = (self._stream.document_lengths(shard) for shard in range(self._stream.num_shards))
            counts[seq_len] = np.array([count_rows(one, seq_len) for one in lengths], np.int64)
        return counts[seq_len]

    def numbers(self, places: Array) -> Array:
        epochs, within = np.divmod(places, self.num_rows)
        numbers = np.empty_like(within)
        for epoch in np.unique(epochs).tolist():
            of_epoch = np.flatnonzero(epochs == epoch)
            shards, ends = self._shards(epoch)
            at = np.searchsorted(ends, within[of_epoch], "right")
            for one in np.unique(at).tolist():
                chosen = of_epoch[at == one]
                shard = int(shards[one])
                rows = within[chosen] - (ends[one] - self._rows[shard])
                if self._settings.shuffle:
                    rows = self._permutation("rows", epoch, shard, int(self._rows[shard]))(rows)
                numbers[chosen] = (shard << _ROW_BITS) + rows
        return numbers

    def find(self, numbers: Array) -> PackedSegments:
        borders = np.flatnonzero(np.diff(numbers >> _ROW_BITS, prepend=-1)).tolist()
        return joined([
            self._find_in(int(numbers[begin]) >> _ROW_BITS, numbers[begin:end] & (2**_ROW_BITS - 1))
            for begin, end in zip(borders, [*borders[1:], len(numbers)], strict=True)
        ])  # fmt: skip

    def _find_in(self, shard: int, rows: Array) -> PackedSegments:
        """Returns the tokens and segments of rows in one shard. The tokens of padding come from an array that has only
        padding.
        """
        mapped, plan = self._stream.open(shard), self._plan(shard)
        firsts, counts = plan.ends[rows], plan.ends[rows + 1] - plan.ends[rows]
        ends = np.concatenate([[0], np.cumsum(counts)])
        pieces = np.arange(ends[-1]) + np.repeat(firsts - ends[:-1], counts)
        blocks, places, lengths = plan.blocks[pieces], plan.places[pieces], plan.lengths[pieces]
        ids = [block.ids for block in mapped.blocks]
        ids.append(np.full(self._settings.seq_len + 1, self._pad_id, ids[0].dtype))
        tokens = np.empty((len(rows), self._settings.seq_len + 1), ids[0].dtype)
        slices = zip(blocks.tolist(), places.tolist(), (places + lengths).tolist(), strict=True)
        np.concatenate([ids[block][begin:end] for block, begin, end in slices], out=tokens.reshape(-1))
        begins = np.cumsum(lengths) - lengths - np.repeat(np.arange(len(rows)) * tokens.shape[1], counts)
        return PackedSegments(tokens, begins, plan.sources[pieces], ends)

    def documents(self, number: int) -> list[PackedDocument]:
        shard, row, at = number >> _ROW_BITS, number & (2**_ROW_BITS - 1), 0
        plan, found = self._plan(shard), []
        for piece in range(int(plan.ends[row]), int(plan.ends[row + 1])):
            document, begin, length = (int(part[piece]) for part in (plan.documents, plan.begins, plan.lengths))
            if plan.sources[piece] != PADDING:
                found.append(self._stream.packed_document(shard, document, at=at, begin=begin, num_tokens=length))
            at += length
        return found

    def settings(self) -> dict[str, int | str]:
        return {"packing": "best_fit"}

    def rows_at(self, seq_len: int) -> int:
        return int(self._count(seq_len).sum())

    def place_of(self, state: Mapping[str, Any]) -> int:
        """Returns the place at which a training continues from a state that was saved with another seq_len.

        This is the beginning of the next shard, because another seq_len gives other rows. The rest of the current shard
        is skipped in this epoch.
        """
        old = self._count(int(state["seq_len"]))
        epoch, within = divmod(int(state["sequences"]), int(old.sum()))
        shards, ends = self._shards(epoch)
        begun = int(np.searchsorted(np.cumsum(old[shards]) - old[shards], within, "left"))
        return epoch * self.num_rows + (int(ends[begun - 1]) if begun else 0)

    def _shards(self, epoch: int) -> tuple[Array, Array]:
        """Returns the shards in the order in which an epoch reads them, and the place in the epoch at which each shard
        ends.
        """

        def make() -> tuple[Array, Array]:
            shards = np.arange(len(self._rows))
            if self._settings.shuffle:
                shards = self._permutation("shards", epoch, 0, len(shards))(shards)
            return shards, np.cumsum(self._rows[shards])

        made: tuple[Array, Array] = self._epochs.get(epoch, make)
        return made

    def _plan(self, shard: int) -> _ShardRows:
        made: _ShardRows = self._plans.get(shard, lambda: _ShardRows.of(self._stream, shard, self._settings.seq_len))
        return made

    def _permutation(self, of: str, epoch: int, shard: int, size: int) -> Permutation:
        framed = f"best_fit {of} {self._settings.seed} {epoch} {shard}".encode()
        made: Permutation = self._permutations.get(
            (framed, size), lambda: Permutation(size, key=xxhash.xxh3_64_intdigest(framed))
        )
        return made
