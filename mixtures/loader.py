"""The trainer's side: shards to packed batches, without Beam and without torch.

The training documents are one stream of tokens, cut into sequences of ``seq_len + 1``: sequence i holds tokens
``i * seq_len`` to ``(i + 1) * seq_len``, so neighbours share one token (the last of one is the first of the
next) and every token but the stream's first is a target exactly once. Tokens at the very end that do not fill a
sequence are left out. Sequences are shuffled: a long book fills many in a row otherwise. Over the whole stream where it
is memory-mapped; within windows of it where shards are fetched from a store.

Which sequence stands at a step is a pure function of the settings and the step. The state is one number, of sequences
given out so far by all ranks together; it can be loaded with another number of ranks, workers or sequences a batch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from mixtures.packing import find
from mixtures.permutation import Permutation
from mixtures.stream import TokenStream

Array = np.ndarray[Any, Any]

_PLAN_STEPS = 64
"""Steps whose sequences are looked up at a time."""
REMOTE_WINDOW_SEQUENCES = 65_536
"""Sequences of 2,048 tokens fill one shard of 256 MB: a window touches two or three."""
_KEPT_PERMUTATIONS = 4
_STATE_KEYS = ("seq_len", "seed", "shuffle", "window_sequences", "num_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderSettings:
    """What a batch is and in which order sequences come."""

    seq_len: int
    """Tokens that are inputs; a sequence holds one more."""
    batch_size: int
    """Sequences a rank and step."""
    seed: int = 0
    shuffle: bool = True
    """False gives the sequences in the order of the shards, which is the pipeline's own global shuffle."""
    window_sequences: int | None = None
    """Sequences that are shuffled among one another, the windows following one another in the stream; 0: all.
    Default: all where the shards are local, 65,536 where they are fetched from a store."""
    epochs: int | None = 1
    """Passes over the shards, each in another order; None never ends."""
    drop_last: bool = True
    """Leaves out the last step if it does not fill a batch on every rank: else ranks would wait for one another."""

    def __post_init__(self) -> None:
        for name in ("seq_len", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} is not a positive number")
        if self.window_sequences is not None and self.window_sequences < 0:
            raise ValueError(f"window_sequences {self.window_sequences} is negative: 0 shuffles over all")
        if self.epochs is not None and self.epochs < 1:
            raise ValueError(f"epochs {self.epochs} is not a positive number: None never ends")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which part of every step this loader gives: a rank's, and of its steps every ``num_workers``-th."""

    rank: int = 0
    num_ranks: int = 1
    worker: int = 0
    num_workers: int = 1

    def __post_init__(self) -> None:
        for one, many in (("rank", "num_ranks"), ("worker", "num_workers")):
            if not 0 <= getattr(self, one) < getattr(self, many):
                raise ValueError(f"{one} {getattr(self, one)} is not among {getattr(self, many)} ({many})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Packed sequences. A segment is the part of one document that stands in one sequence."""

    input_ids: Array
    """int64, (sequences, seq_len + 1): inputs are ``[:, :-1]``, targets ``[:, 1:]``."""
    segment_begins: Array
    """int64: where in ``input_ids.ravel()`` each segment begins; every sequence begins one. Followed by the end, it is
    what attention kernels for packed sequences take as cumulative lengths."""
    segment_sources: Array
    """int8: the source of each segment, an index into ``TokenStream.source_names``."""
    sequences: Array
    """int64: the number of each sequence in the stream."""

    def segment_ids(self) -> Array:
        """int32 like ``input_ids``: the number of the token's segment within its sequence, from 0."""
        marks = np.zeros(self.input_ids.shape, np.int32)
        marks.reshape(-1)[self.segment_begins] = 1
        marks[:, 0] = 0
        return np.asarray(np.cumsum(marks, axis=1, out=marks))

    def positions(self) -> Array:
        """int32 like ``input_ids``: the token's place in its segment, from 0."""
        positions = np.ones(self.input_ids.size, np.int32)
        positions[0] = 0
        begins = self.segment_begins
        positions[begins[1:]] = 1 - np.diff(begins)
        return np.asarray(np.cumsum(positions, out=positions).reshape(self.input_ids.shape))

    def sources(self) -> Array:
        """int8 like ``input_ids``: the source of every token, for a loss a source."""
        lengths = np.diff(self.segment_begins, append=self.input_ids.size)
        return np.repeat(self.segment_sources, lengths).reshape(self.input_ids.shape)


class Loader:
    """Iterates over :class:`Batch`. Iterating again goes on where the last iteration stopped.

    >>> for batch in Loader("out", LoaderSettings(seq_len=2048, batch_size=8)):  # doctest: +SKIP
    ...     loss = model(batch.input_ids[:, :-1], batch.positions()[:, :-1], batch.input_ids[:, 1:])
    """

    def __init__(
        self,
        data: str | Path | TokenStream,
        settings: LoaderSettings,
        *,
        place: Place | None = None,
    ) -> None:
        """Opens a run's output folder (or a stream already open).

        Raises:
            ValueError: a shard is missing, damaged or of another run, or there is too little for one step.
        """
        self.stream = data if isinstance(data, TokenStream) else TokenStream(data)
        self.settings = settings
        self.place = place or Place()
        self.num_sequences: int = max(0, (self.stream.num_tokens - 1) // settings.seq_len)
        """A pass."""
        self._step_sequences = settings.batch_size * self.place.num_ranks
        enough = self._step_sequences if settings.drop_last and settings.epochs is not None else 1
        if self.num_sequences * (settings.epochs or 1) < enough or not self.num_sequences:
            raise ValueError(
                f"{self.stream.num_tokens:,} tokens make {self.num_sequences:,} sequences of {settings.seq_len}, "
                f"fewer than the {enough:,} of a step"
            )
        self._begin = 0
        self._step = self.place.worker
        self._num_loads = 0
        self._permutations: OrderedDict[tuple[int, int], Permutation] = OrderedDict()
        window = settings.window_sequences
        if window is None:
            window = REMOTE_WINDOW_SEQUENCES if self.stream.storage.is_remote else 0
        self._window: int = min(window or self.num_sequences, self.num_sequences)

    def __iter__(self) -> Iterator[Batch]:
        while True:
            steps = self._step + self.place.num_workers * np.arange(_PLAN_STEPS)
            places = self._begin + steps[:, None] * self._step_sequences + self._of_rank()
            places = places[places[:, 0] < self._end()]
            if not len(places):
                return
            num_loads = self._num_loads
            for batch in self._batches(places):
                self._step += self.place.num_workers
                yield batch
                if self._num_loads != num_loads:  # a state was loaded meanwhile
                    break

    def state_dict(self) -> dict[str, int]:
        """Where the loader is: sequences that all ranks have been given before this loader's next step.

        With several workers, give the states of all to :meth:`load_state_dict`; a worker can be given its own again.
        """
        return self._state(self._begin + self._step * self._step_sequences)

    def state_after(self, num_steps: int) -> dict[str, int]:
        """The state behind so many steps from where this loader began (or was last given a state), all workers' steps
        counted: for whoever counts the steps, since workers run ahead of what is used."""
        return self._state(self._begin + num_steps * self._step_sequences) | {"worker": 0, "num_workers": 1}

    def load_state_dict(self, state: Mapping[str, int] | Sequence[Mapping[str, int]]) -> None:
        """Goes on behind a state, that of a loader or those of all its workers; ranks and workers may be others now.

        Raises:
            ValueError: the state is of another order of sequences (another seed, length or output), or that of one
                worker of several where the others' are wanted too.
        """
        states = [state] if isinstance(state, Mapping) else list(state)
        if not states:
            raise ValueError("no state to go on from")
        mine = self.state_dict()
        for one in states:
            for key in _STATE_KEYS:
                if one.get(key) != mine[key]:
                    raise ValueError(f"the state is of {key} {one.get(key)}, this loader of {mine[key]}")
        first = min(int(one["sequences"]) for one in states)
        num_workers = int(states[0].get("num_workers", 1))
        if {int(one.get("worker", 0)) for one in states} == set(range(num_workers)):
            self._begin = first
        elif len(states) == 1 and (states[0]["worker"], num_workers) == (self.place.worker, self.place.num_workers):
            self._begin = first - self.place.worker * self._step_sequences
        else:
            raise ValueError(f"the state is of one of {num_workers} workers: give the states of all")
        self._step = self.place.worker
        self._num_loads += 1

    def _state(self, sequences: int) -> dict[str, int]:
        return {
            "sequences": sequences,
            "seq_len": self.settings.seq_len,
            "seed": self.settings.seed,
            "shuffle": int(self.settings.shuffle),
            "window_sequences": self._window if self._window < self.num_sequences else 0,
            "num_tokens": self.stream.num_tokens,
            "worker": self.place.worker,
            "num_workers": self.place.num_workers,
        }

    def _end(self) -> int:
        """How many sequences are given out in all."""
        if self.settings.epochs is None:
            return 2**62
        total = self.num_sequences * self.settings.epochs
        if not self.settings.drop_last:
            return total
        return total - (total - self._begin) % self._step_sequences

    def _of_rank(self) -> Array:
        return self.place.rank * self.settings.batch_size + np.arange(self.settings.batch_size)

    def _sequences(self, places: Array) -> Array:
        """The sequences that stand at these places of the order."""
        epochs, within = np.divmod(places, self.num_sequences)
        if not self.settings.shuffle:
            return np.asarray(within)
        windows, at = np.divmod(within, self._window)
        sequences = np.empty_like(within)
        number = epochs * -(-self.num_sequences // self._window) + windows
        for one in np.unique(number).tolist():
            chosen = np.flatnonzero(number == one)
            window = int(windows[chosen[0]])
            order = self._order(int(epochs[chosen[0]]), window)
            sequences[chosen] = window * self._window + order(at[chosen])
        return sequences

    def _order(self, epoch: int, window: int) -> Permutation:
        found = self._permutations.get((epoch, window))
        if found is None:
            framed = f"sequences {self.settings.seed} {epoch} {window}".encode()
            size = min(self._window, self.num_sequences - window * self._window)
            found = Permutation(size, key=xxhash.xxh3_64_intdigest(framed))
            self._permutations[epoch, window] = found
            if len(self._permutations) > _KEPT_PERMUTATIONS:
                self._permutations.popitem(last=False)
        return found

    def _batches(self, places: Array) -> Iterator[Batch]:
        """A batch a row of ``places``; what lies behind the end is left out."""
        width = self.settings.seq_len + 1
        num_rows = np.count_nonzero(places < self._end(), axis=1)
        sequences = self._sequences(places[places < self._end()])
        found = find(self.stream, sequences * self.settings.seq_len, width)
        counts = np.diff(found.ends)
        last = 0
        for rows in num_rows.tolist():
            first, last = last, last + rows
            input_ids = np.empty((rows, width), np.int64)
            for row, tokens in enumerate(found.tokens[first:last]):
                input_ids[row] = tokens
            begin, end = int(found.ends[first]), int(found.ends[last])
            row_begins = np.repeat(np.arange(rows) * width, counts[first:last])
            yield Batch(
                input_ids=input_ids,
                segment_begins=found.begins[begin:end] + row_begins,
                segment_sources=found.sources[begin:end],
                sequences=sequences[first:last],
            )
