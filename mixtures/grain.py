"""The packed sequences as a data source for Grain: anything with ``len()`` and ``[]`` that Grain calls random access.

The order is the loader's, so Grain must not shuffle. Its places are those of `Loader`, so a state can be taken from one
to the other, and to other numbers of processes.
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
"""The label without a loss: the default of torch's cross-entropy, and torchtitan's."""


class PackedSource:
    """The rest of a loader's pass, as records in the order of the training.

    ``grain.MapDataset.source(PackedSource(...))[rank::num_ranks].batch(n)`` gives every rank its own part.

    Forms of a record:

    - ``plain``: ``input_ids``, ``labels``, ``loss_mask``, ``segment_ids``, ``position_ids`` and ``sources``, as rows of
      `mixtures.torch_dataset.PackedSequences`.
    - ``maxtext``: ``inputs`` and ``targets``, each with ``_position`` and ``_segmentation``, int32. Segments count from
      1. ``targets_segmentation`` is 0 where there is no loss.
    - ``torchtitan``: ``({"input": ids, "positions": positions}, labels)``. A label without a loss is -100.
    """

    def __init__(
        self, data: str | Path | Stream, settings: LoaderSettings, *, form: Form = "plain", state: State | None = None
    ) -> None:
        """Opens and checks the shards.

        Args:
            settings: those of the training; `batch_size` and `drop_last` are left to Grain.
            form: what a record is.
            state: goes on behind the sequences that this state has read.

        Raises:
            ValueError: a shard is not as the manifest says, the state is of other data, or `epochs` is None.
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
        """The stream, for further sources and loaders that need not open it again."""
        return self._loader.stream

    @property
    def source_names(self) -> tuple[str, ...]:
        """The names that the numbers in ``sources`` index."""
        return self._loader.stream.source_names

    def __len__(self) -> int:
        """Returns the sequences that are left in the pass."""
        return self._loader.steps_left()

    def __getitem__(self, index: SupportsIndex) -> Any:
        """Returns one record. Raises IndexError."""
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[SupportsIndex]) -> list[Any]:
        """Returns several records, much faster than one by one."""
        places = np.array([index.__index__() for index in indices], np.int64)
        if len(places) and (places.min() < 0 or places.max() >= len(self)):
            raise IndexError(f"records {places.min()} to {places.max()} are not among {len(self)}")
        return list(self._rows(self._loader.batch_at(self._loader.begin + places))) if len(places) else []

    def __repr__(self) -> str:
        """Returns what identifies the records: Grain compares it when it takes up a state."""
        return self._about

    def state_after(self, num_records: int) -> dict[str, int | str]:
        """Returns the state after this many records of all processes together, for this class or for `Loader`."""
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
