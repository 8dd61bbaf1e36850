"""Reads the shards of a run as packed batches, without Beam and without torch.

The training documents form one stream of tokens. By default it is split into sequences of ``seq_len + 1`` tokens.
Sequence i holds the tokens ``i * seq_len`` to ``(i + 1) * seq_len``, inclusive. Neighbouring sequences share one
token (the last of one is the first of the next), so every token except the stream's first is a label exactly once.
Tokens at the end that do not fill a sequence are left out. ``packing="best_fit"`` packs whole documents instead.

Sequences are shuffled, because a long book fills many of them in a row. Local shards are memory-mapped, so their
sequences are shuffled over the whole stream. Shards in an object store are fetched, so their sequences are shuffled
within windows of the stream.

Only the settings and the step determine which sequences a batch holds. A loader's state is one number: it counts the
sequences that all ranks together have received so far. So a state can be loaded with a different number of ranks,
workers or sequences per batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mixtures.batch import PADDING, Batch
from mixtures.batch_plan import BatchPlan
from mixtures.loader_settings import LoaderSettings, Packing, Place, Skips
from mixtures.row_order import REMOTE_WINDOW_SEQUENCES, RowOrder, make_row_order
from mixtures.stages import StagedRows, StagedStream, Stream, open_stages
from mixtures.stream import PackedDocument, TokenStream

__all__ = [
    "PADDING", "REMOTE_WINDOW_SEQUENCES", "Batch", "Loader", "LoaderSettings", "PackedDocument", "Packing", "Place",
    "State",
]  # fmt: skip

Array = np.ndarray[Any, Any]
State = Mapping[str, int | str]
"""A loader's state, which contains only numbers and short texts."""

_PLAN_TOKENS = 2**23
"""About this many tokens are looked up together. They take 16 MB (32 MB if an id takes four bytes)."""
_NO_END = 2**62


class Loader:
    """Yields the batches of one process. A second iteration continues where the first one stopped.

    >>> for batch in Loader("out", LoaderSettings(seq_len=2048, batch_size=8)):  # doctest: +SKIP
    ...     loss = model(batch.input_ids[:, :-1], batch.positions()[:, :-1], batch.input_ids[:, 1:])
    """

    def __init__(
        self,
        data: str | Path | Stream,
        settings: LoaderSettings,
        *,
        place: Place | None = None,
    ) -> None:
        """Opens a run's output folder, or uses a stream that is already open.

        If the run continues earlier stages of the training, opens their output folders, too.

        Raises:
            ValueError: a shard is missing, damaged or from another run, or there are too few tokens for one step.
        """
        self.stream: Stream = data if isinstance(data, TokenStream | StagedStream) else open_stages(data)
        self.settings = settings
        self.place = place or Place()
        self._order = _order_of(self.stream, settings)
        self.num_sequences: int = self._order.num_rows
        """Sequences per epoch."""
        self._step_sequences = settings.batch_size * self.place.num_ranks
        self.plan_steps: int = max(1, _PLAN_TOKENS // (settings.batch_size * (settings.seq_len + 1)))
        """The sequences of this many steps are looked up together."""
        enough = self._step_sequences if settings.drop_last and settings.epochs is not None else 1
        if self.num_sequences * (settings.epochs or 1) < enough or not self.num_sequences:
            raise ValueError(
                f"{self.stream.num_tokens:,} tokens make {self.num_sequences:,} sequences of {settings.seq_len}, "
                f"fewer than the {enough:,} of a step"
            )
        self._skips = Skips(settings.skip_sequences)
        self._num_loads = 0
        self.begin_pass(0)

    def begin_pass(self, number: int) -> None:
        """Moves to the beginning of the pass with this number. The first pass has the number 0.

        A pass consists of `epochs` epochs, and has its own order of sequences.
        """
        self.pass_number = number
        self._go_to(self._skips.count(number * self.num_sequences * (self.settings.epochs or 0)))

    def _go_to(self, begin: int) -> None:
        self._begin = begin
        """The number of sequences before this loader's first step, in the order of sequences. Skipped sequences are
        not counted.
        """
        self._step = self.place.worker
        self._num_loads += 1

    def __iter__(self) -> Iterator[Batch]:
        while True:
            steps = self._step + self.place.num_workers * np.arange(self.plan_steps)
            counts = self._begin + steps[:, None] * self._step_sequences + self._rank_offsets()
            counts = counts[counts[:, 0] < self._end()]
            if not len(counts):
                return
            num_loads = self._num_loads
            for batch in self._plan(counts):
                self._step += self.place.num_workers
                yield batch
                if self._num_loads != num_loads:  # a state was loaded in the meantime
                    break

    def steps_left(self) -> int:
        """Returns the number of steps from the last loaded state, or from the beginning of this pass, to the end of the
        pass. The steps of all workers are counted. Raises TypeError if the pass never ends (``epochs=None``)."""
        if self.settings.epochs is None:
            raise TypeError("epochs=None never ends, so its steps cannot be counted")
        return max(0, -(-(self._end() - self._begin) // self._step_sequences))

    def documents(self, sequence: int) -> list[PackedDocument]:
        """Returns the pieces of documents in one sequence. ``sequence`` is a number from ``Batch.sequences``."""
        return self._order.documents(int(sequence))

    def sequences_of_step(self, step: int) -> Array:
        """Returns the numbers of the sequences that all ranks together receive at a step.

        Step 0 is the first step of the first pass. Sequences in ``skip_sequences`` belong to no step.
        """
        places = self._skips.place(step * self._step_sequences + np.arange(self._step_sequences))
        return self._order.numbers(np.asarray(places, np.int64))

    def plan_of_steps(self, steps: Array) -> BatchPlan:
        """Looks up the batches that this rank gets at the given steps. Steps are counted from the last loaded state, or
        from this loader's beginning."""
        return self._plan(self._begin + np.asarray(steps)[:, None] * self._step_sequences + self._rank_offsets())

    def batch_at(self, places: Array, dtype: type[np.integer[Any]] = np.int64) -> Batch:
        """Returns the sequences at the given places as one batch, regardless of this loader's step and rank.

        Args:
            places: places in the order of sequences, counted from the last loaded state or from this loader's
                beginning. Skipped places are not counted.
            dtype: the type of the batch's ids.
        """
        return self._plan(self._begin + places[None, :]).batch(0, dtype)

    def state_dict(self) -> dict[str, int | str]:
        """Returns the state from which a loader continues with this loader's next step. The state says how many
        sequences all ranks have received before that step.

        With several workers, pass the states of all workers to :meth:`load_state_dict`. A worker can instead load one
        state, that of the saved worker with the same number. This is possible only if the number of workers, the
        sequences per step and `seq_len` are the same as before.
        """
        return self._state(self._step)

    def state_after(self, num_steps: int) -> dict[str, int | str]:
        """Returns the state that is reached ``num_steps`` steps after the last loaded state, or after this loader's
        beginning.

        ``num_steps`` counts the steps of all workers. Use this method if workers prefetch, and count the consumed steps
        yourself.
        """
        return self._state(num_steps) | {"worker": 0, "num_workers": 1}

    def load_state_dict(self, state: State | Sequence[State]) -> None:
        """Continues from the state of a loader, or from the states of all its workers.

        The saved loader may have had different numbers of ranks and workers.

        Raises:
            ValueError: the state was saved on different data; or the states of some workers are missing; or the saved
                loader had another order of sequences, because of a setting such as its seed or packing.
        """
        states = [state] if isinstance(state, Mapping) else list(state)
        if not states:
            raise ValueError("no state to go on from")
        for one in states:
            self._check(one)
        first = min(self._place_of(one) for one in states)
        num_workers = int(states[0].get("num_workers", 1))
        if {int(one.get("worker", 0)) for one in states} == set(range(num_workers)):
            begin = self._skips.count(first)
        elif len(states) == 1 and (states[0]["worker"], num_workers) == (self.place.worker, self.place.num_workers):
            self._check_steps(states[0])
            begin = self._skips.count(first) - self.place.worker * self._step_sequences
        else:
            raise ValueError(f"the state is of one of {num_workers} workers: give the states of all")
        if self.settings.epochs is not None:
            size = self.num_sequences * self.settings.epochs
            number = int(states[0].get("pass", 0))
            self.pass_number = number if number * size <= first <= (number + 1) * size else first // size
        self._go_to(begin)

    def _check(self, state: State) -> None:
        """Raises ValueError if the state was saved on different data or for a different order of sequences."""
        mine = self.state_dict()
        num_stages = self.stream.num_stages_of(state.get("data"))
        if num_stages is None and not self.settings.accept_other_data:
            theirs = f"fingerprint {str(state['data'])[:12]}" if state.get("data") else "which it does not name"
            raise ValueError(
                f"the state is of other data ({theirs}, {int(state.get('num_tokens', 0)):,} tokens) than this "
                f"loader's (fingerprint {str(mine['data'])[:12]}, {mine['num_tokens']:,} tokens): load it on the "
                "output where it was saved, or set accept_other_data to go on at the same place of this one"
            )
        if num_stages is not None and isinstance(self._order, StagedRows):
            mine |= self._order.settings(num_stages)
        for key in ("seed", "shuffle", *self._order.settings()):
            if key == "max_seq_len" and state.get(key) != mine[key] and state.get("seq_len") != mine["seq_len"]:
                raise ValueError(
                    f"the state is of seq_len {state.get('seq_len')}, this loader of {mine['seq_len']}: a training "
                    f"that changes its seq_len has the same max_seq_len, a multiple of both, from its first step on "
                    f"(the state's is {state.get(key)}, this loader's {mine[key]})"
                )
            if state.get(key) != mine[key]:
                raise ValueError(f"the state is of {key} {state.get(key)}, this loader of {mine[key]}")
        if not isinstance(state.get("seq_len"), int) or not isinstance(state.get("sequences"), int):
            raise ValueError("the state is not one of this loader: it names no seq_len or sequences")
        if num_stages is not None and state.get("data") != mine["data"] and isinstance(self._order, StagedRows):
            rows = self._order.rows_of_stages(num_stages, int(state["seq_len"]))
            if int(state["sequences"]) > rows:
                raise ValueError(
                    f"the state has read {int(state['sequences']):,} sequences, and the {num_stages} stages on which "
                    f"it was saved hold {rows:,}: it began them again, so the next stage does not follow; give the "
                    "next stage alone, TokenStream(DIR), to begin it"
                )

    def _check_steps(self, state: State) -> None:
        """Raises ValueError if the saved loader had another number of sequences or tokens per step.

        In this case, the states of all workers are needed.
        """
        theirs = int(state.get("step_sequences", self._step_sequences))
        if theirs != self._step_sequences or state["seq_len"] != self.settings.seq_len:
            raise ValueError(
                f"the state is of one of {state['num_workers']} workers, with {theirs} sequences of {state['seq_len']} "
                f"tokens in a step; this loader has {self._step_sequences} of {self.settings.seq_len}: give the states "
                "of all workers, or save state_after"
            )

    def _place_of(self, state: State) -> int:
        return int(state["sequences"]) if state["seq_len"] == self.settings.seq_len else self._order.place_of(state)

    def _state(self, num_steps: int) -> dict[str, int | str]:
        count = min(self._begin + num_steps * self._step_sequences, self._pass_end())
        return {
            "sequences": int(self._skips.place(count - 1)) + 1 if count else 0,
            "pass": self.pass_number,
            "seq_len": self.settings.seq_len,
            "seed": self.settings.seed,
            "shuffle": int(self.settings.shuffle),
            **self._order.settings(),
            "data": self.stream.fingerprint,
            "num_tokens": self.stream.num_tokens,
            "worker": self.place.worker,
            "num_workers": self.place.num_workers,
            "step_sequences": self._step_sequences,
        }

    def _end(self) -> int:
        """Returns the place at which the last step of the pass ends. Skipped places are not counted."""
        end = self._pass_end()
        if self.settings.epochs is None or not self.settings.drop_last:
            return end
        return end - (end - self._begin) % self._step_sequences

    def _pass_end(self) -> int:
        """Returns the place at which the pass ends, including sequences at its end that do not fill a step."""
        if self.settings.epochs is None:
            return _NO_END
        return self._skips.count((self.pass_number + 1) * self.num_sequences * self.settings.epochs)

    def _rank_offsets(self) -> Array:
        return self.place.rank * self.settings.batch_size + np.arange(self.settings.batch_size)

    def _plan(self, counts: Array) -> BatchPlan:
        """Reads one batch for each row of ``counts``. A row lists the places of the batch's sequences in the order of
        sequences, without counting skipped places. Places after the end are left out.
        """
        is_there = counts < self._end()
        sequences = self._order.numbers(np.asarray(self._skips.place(counts[is_there]), np.int64))
        num_rows = np.count_nonzero(is_there, axis=1)
        return BatchPlan(self._order.find(sequences), sequences, num_rows.tolist())


def _order_of(stream: Stream, settings: LoaderSettings) -> RowOrder:
    if isinstance(stream, StagedStream):
        return StagedRows(stream, [make_row_order(stage, settings) for stage in stream.stages])
    return make_row_order(stream, settings)
