"""Provides the packed sequences as a random-access data source for Grain: an object with ``len()`` and ``[]``.

The records are in the loader's order, so Grain must not shuffle them. A state counts the same sequences as a state of
`Loader`. So each of the two classes can load the states of the other, with any number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, SupportsIndex

import numpy as np

from mixtures.loader import Batch, Loader, LoaderSettings, State
from mixtures.stages import Stream

Array = np.ndarray[Any, Any]
Form = Literal["plain", "maxtext", "torchtitan"]
IGNORED_LABEL = -100
"""The label of a token that has no loss. The value is the default of torch's cross-entropy and of torchtitan."""


class PackedSource:
    """Contains the remaining sequences of a pass over the data as records, in training order.

    ``grain.MapDataset.source(PackedSource(...))[rank::num_ranks].batch(n)`` gives every rank a different part.

    ``form`` chooses what a record is:

    - ``plain``: a dict with ``input_ids``, ``labels``, ``loss_mask``, ``segment_ids``, ``position_ids`` and
      ``sources``. Each value is one row of what `mixtures.torch_dataset.PackedSequences` yields.
    - ``maxtext``: a dict of six int32 arrays: ``inputs``, ``inputs_position``, ``inputs_segmentation``, and the same
      three for ``targets``. Segments count from 1. ``targets_segmentation`` is 0 where there is no loss.
    - ``torchtitan``: the pair ``({"input": ids, "positions": positions}, labels)``. Labels without a loss are -100.
    """

    def __init__(
        self, data: str | Path | Stream, settings: LoaderSettings, *, form: Form = "plain", state: State | None = None
    ) -> None:
        """Opens and checks the shards.

        Args:
            data: a run's output folder, or a stream that is already open.
            settings: the training's settings. `batch_size` and `drop_last` are ignored, because Grain makes batches.
            form: the format of the records.
            state: a saved state. If given, the records begin after the sequences that the state counts as read.

        Raises:
            ValueError: a shard does not match the manifest, the state belongs to different data, or `epochs` is None.
        """
        if settings.epochs is None:
            raise ValueError("epochs=None never ends, and a data source has a length: set epochs, and let Grain repeat")
        if form not in _FORMS:
            raise ValueError(f"form {form!r} is not among {', '.join(_FORMS)}")
        self._loader = Loader(data, replace(settings, batch_size=1, drop_last=False))
        if state is not None:
            self._loader.load_state_dict(state)
        self._rows = _FORMS[form]
        self._about = f"{type(self).__name__}({self._loader.stream.fingerprint[:12]}, {settings}, form={form!r})"

    @property
    def stream(self) -> Stream:
        """The open stream. Pass it to further sources and loaders so that they need not open it again."""
        return self._loader.stream

    @property
    def source_names(self) -> tuple[str, ...]:
        """The names of the sources. The numbers in ``sources`` are indices into these names."""
        return self._loader.stream.source_names

    def __len__(self) -> int:
        """Returns the number of remaining sequences in the pass."""
        return self._loader.steps_left()

    def __getitem__(self, index: SupportsIndex) -> Any:
        """Returns one record. Raises IndexError if no record has this index."""
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[SupportsIndex]) -> list[Any]:
        """Returns several records. This is much faster than requesting one record at a time."""
        places = np.array([index.__index__() for index in indices], np.int64)
        if len(places) and (places.min() < 0 or places.max() >= len(self)):
            raise IndexError(f"records {places.min()} to {places.max()} are not among {len(self)}")
        return list(self._rows(self._loader.batch_at(self._loader.begin + places))) if len(places) else []

    def __repr__(self) -> str:
        """Returns a text that identifies the records. Grain compares this text with the saved one when it loads a
        state.
        """
        return self._about

    def state_after(self, num_records: int) -> dict[str, int | str]:
        """Returns the state after ``num_records`` records, which are counted over all processes together. `Loader` can
        load this state too.
        """
        return self._loader.state_after(num_records)


def _plain(batch: Batch) -> Iterator[dict[str, Array]]:
    arrays = {
        "input_ids": batch.input_ids[:, :-1],
        "labels": batch.input_ids[:, 1:],
        "loss_mask": batch.loss_mask(),
        "segment_ids": batch.segment_ids()[:, :-1],
        "position_ids": batch.positions()[:, :-1],
        "sources": batch.sources()[:, 1:],
    }
    return _rows_of(arrays)


def _maxtext(batch: Batch) -> Iterator[dict[str, Array]]:
    is_document = batch.sources() >= 0
    segments = (batch.segment_ids() + 1) * is_document
    positions = (batch.positions() * is_document)[:, :-1]
    arrays = {
        "inputs": batch.input_ids[:, :-1],
        "inputs_position": positions,
        "inputs_segmentation": segments[:, :-1],
        "targets": batch.input_ids[:, 1:],
        "targets_position": positions,
        "targets_segmentation": segments[:, :-1] * batch.loss_mask(),
    }
    return _rows_of({name: array.astype(np.int32) for name, array in arrays.items()})


def _torchtitan(batch: Batch) -> Iterator[tuple[dict[str, Array], Array]]:
    labels = np.where(batch.loss_mask(), batch.input_ids[:, 1:], IGNORED_LABEL)
    positions = batch.positions()[:, :-1].astype(np.int64)
    for ids, places, wanted in zip(batch.input_ids[:, :-1], positions, labels, strict=True):
        yield {"input": ids, "positions": places}, wanted


def _rows_of(arrays: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
    for row in zip(*arrays.values(), strict=True):
        yield dict(zip(arrays, row, strict=True))


_FORMS: Mapping[str, Callable[[Batch], Iterator[Any]]] = {
    "plain": _plain,
    "maxtext": _maxtext,
    "torchtitan": _torchtitan,
}
