"""Provides the packed sequences as a random-access data source for Grain: an object with ``len()`` and ``[]``.

Grain calls the elements of a data source records. Here they are in the loader's order, so Grain must not shuffle them.
A saved state counts the sequences that were read, as a state of `Loader` does. So a state of `Loader` can be loaded by
`PackedSource` and the other way round. The number of processes may change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any, Literal, SupportsIndex, get_args

import numpy as np

from mixtures.batch_plan import BatchPlan
from mixtures.loader import PADDING, Batch, Loader, LoaderSettings, State
from mixtures.stages import Stream

Array = np.ndarray[Any, Any]
Form = Literal["plain", "maxtext", "torchtitan", "batch"]
IGNORED_LABEL = -100
"""The label of a token that has no loss. The value is the default of torch's cross-entropy and of torchtitan."""


class PackedSource:
    """Contains the sequences of a pass over the data as records, in training order. If a state is given, the
    sequences that it counts as read are left out.

    ``grain.MapDataset.source(PackedSource(...))[rank::num_ranks].batch(n)`` gives every rank a different part.

    ``form`` chooses what a record is:

    - ``plain``: a dict with ``input_ids``, ``labels``, ``loss_mask``, ``segment_ids``, ``position_ids`` and
      ``sources``. Each value is one row of what `mixtures.torch_dataset.PackedSequences` yields.
    - ``maxtext``: a dict of six int32 arrays: ``inputs``, ``inputs_position``, ``inputs_segmentation``, and the same
      three for ``targets``. Segments count from 1. ``targets_segmentation`` is 0 where there is no loss.
    - ``torchtitan``: the pair ``({"input": ids, "positions": positions}, labels)``. Labels without a loss are -100.
    - ``batch``: a dict with a whole batch of ``batch_size`` sequences, for variable-length attention: ``input_ids``,
      ``labels``, ``position_ids`` (all int32), ``loss_mask``, ``sources``, ``cu_seqlens`` and ``max_seqlen``. It is the
      fastest form, because Grain handles one record per batch and copies no token.
    """

    def __init__(
        self, data: str | Path | Stream, settings: LoaderSettings, *, form: Form = "plain", state: State | None = None
    ) -> None:
        """Opens and checks the shards.

        Args:
            data: a run's output folder, or a stream that is already open.
            settings: the training's settings. Unless the form is ``batch``, `batch_size` and `drop_last` are ignored,
                because Grain makes the batches.
            form: the format of the records.
            state: a saved state. If given, the records begin after the sequences that the state counts as read.

        Raises:
            ValueError: a shard does not match the manifest, the state belongs to different data, or `epochs` is None.
        """
        if settings.epochs is None:
            raise ValueError("epochs=None never ends, and a data source has a length: set epochs, and let Grain repeat")
        if form not in get_args(Form):
            raise ValueError(f"form {form!r} is not among {', '.join(get_args(Form))}")
        if form != "batch":
            settings = replace(settings, batch_size=1, drop_last=False)
        self._loader = Loader(data, settings)
        if state is not None:
            self._loader.load_state_dict(state)
        self._form, self._ahead = form, _Ahead(self._loader) if form == "batch" else None
        self._num_records = self._loader.steps_left()
        begin = self._loader.state_after(0)  # Grain compares this text before it goes on from one of its own states
        where = f"sequences={begin['sequences']}, pass={begin['pass']}"
        data = self._loader.stream.fingerprint[:12]
        self._about = f"{type(self).__name__}({data}, {settings}, form={form!r}, {where})"

    @property
    def stream(self) -> Stream:
        """The open stream. Pass it to further sources and loaders so that they need not open it again."""
        return self._loader.stream

    @property
    def source_names(self) -> tuple[str, ...]:
        """The names of the sources. The numbers in a record's ``sources`` are indices into these names."""
        return self._loader.stream.source_names

    def __len__(self) -> int:
        """Returns the number of remaining records in the pass."""
        return self._num_records

    def __getitem__(self, index: SupportsIndex) -> Any:
        """Returns one record. Raises IndexError if no record has this index."""
        if self._ahead is None:
            return self.__getitems__([index])[0]
        number = index.__index__()
        if not 0 <= number < self._num_records:
            raise IndexError(f"record {number} is not among {self._num_records}")
        return _whole(self._ahead.batch(number))

    def __getitems__(self, indices: Sequence[SupportsIndex]) -> list[Any]:
        """Returns several records. This is much faster than requesting one record at a time."""
        numbers = np.array([index.__index__() for index in indices], np.int64)
        if not len(numbers):
            return []
        if numbers.min() < 0 or numbers.max() >= len(self):
            raise IndexError(f"records {numbers.min()} to {numbers.max()} are not among {len(self)}")
        if self._ahead is not None:
            return [self[number] for number in numbers.tolist()]
        return list(_FORMS[self._form](self._loader, numbers))

    def __repr__(self) -> str:
        """Returns a text that identifies the records. Grain compares this text with the saved one when it loads a
        state.
        """
        return self._about

    def state_after(self, num_records: int) -> dict[str, int | str]:
        """Returns the state after ``num_records`` records. The records of all processes are counted. `Loader` can load
        this state too.
        """
        return self._loader.state_after(num_records)


def _whole(batch: Batch) -> dict[str, Any]:
    cu_seqlens = batch.cu_seqlens()
    return {
        "input_ids": batch.input_ids[:, :-1],
        "labels": batch.input_ids[:, 1:],
        "loss_mask": batch.loss_mask(),
        "position_ids": batch.positions()[:, :-1],
        "sources": batch.sources()[:, 1:],
        "cu_seqlens": cu_seqlens,
        "max_seqlen": np.diff(cu_seqlens).max(),
    }


class _Ahead:
    """Reads several batches at once, if the records are requested at regular intervals.

    For example, with n processes, each process requests every n-th record. Other records may be requested at any time,
    but they take longer. Threads may share this object.
    """

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._lock = Lock()
        self._last: list[int] = []
        self._steps = range(0)
        self._plan: BatchPlan | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_loader": self._loader}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_loader"])  # type: ignore[misc]

    def batch(self, number: int) -> Batch:
        """Returns the batch that the record with this number contains. Records are numbered from 0."""
        with self._lock:
            if self._plan is None or number not in self._steps:
                self._steps = self._expected(number)
                self._plan = self._loader.plan_of_steps(np.array(self._steps))
            self._last = [*self._last[-1:], number]
            return self._plan.batch(self._steps.index(number), np.int32)

    def _expected(self, number: int) -> range:
        """Returns the steps whose batches are read together with the batch of step ``number``.

        If the intervals between this step and the last two requested steps are equal, the next steps at this interval
        are read too. Otherwise only this step is read.
        """
        distance = number - self._last[-1] if self._last else 0
        if distance < 1 or self._last[0] != number - 2 * distance:
            return range(number, number + 1)
        return range(number, min(number + self._loader.plan_steps * distance, self._loader.steps_left()), distance)


def _plain(loader: Loader, numbers: Array) -> Iterator[dict[str, Array]]:
    batch = loader.batch_at(numbers, np.int64)
    yield from _rows_of(
        {
            "input_ids": batch.input_ids[:, :-1],
            "labels": batch.input_ids[:, 1:],
            "loss_mask": batch.loss_mask(),
            "segment_ids": batch.segment_ids()[:, :-1],
            "position_ids": batch.positions()[:, :-1],
            "sources": batch.sources()[:, 1:],
        }
    )


def _maxtext(loader: Loader, numbers: Array) -> Iterator[dict[str, Array]]:
    batch = loader.batch_at(numbers, np.int32)
    is_document = batch.segment_sources != PADDING
    segments = batch.spread(np.where(is_document, batch.segment_numbers() + 1, 0).astype(np.int32))[:, :-1]
    positions = batch.positions()[:, :-1]
    if not is_document.all():
        positions *= segments > 0
    yield from _rows_of(
        {
            "inputs": batch.input_ids[:, :-1],
            "inputs_position": positions,
            "inputs_segmentation": segments,
            "targets": batch.input_ids[:, 1:],
            "targets_position": positions,
            "targets_segmentation": segments * batch.loss_mask(),
        }
    )


def _torchtitan(loader: Loader, numbers: Array) -> Iterator[tuple[dict[str, Array], Array]]:
    batch = loader.batch_at(numbers, np.int64)
    labels = np.where(batch.loss_mask(), batch.input_ids[:, 1:], IGNORED_LABEL)
    positions = batch.positions()[:, :-1].astype(np.int64)
    for ids, places, wanted in zip(batch.input_ids[:, :-1], positions, labels, strict=True):
        yield {"input": ids, "positions": places}, wanted


def _rows_of(arrays: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
    names = tuple(arrays)
    for row in zip(*arrays.values(), strict=True):
        yield dict(zip(names, row, strict=True))


_FORMS: Mapping[str, Callable[[Loader, Array], Iterator[Any]]] = {
    "plain": _plain,
    "maxtext": _maxtext,
    "torchtitan": _torchtitan,
}
