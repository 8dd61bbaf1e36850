"""The loader as a PyTorch ``IterableDataset``. Needs torch, and nothing of the pipeline: ``pip install ...[train]``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from mixtures.loader import Batch, Loader, LoaderSettings, Place
from mixtures.stream import TokenStream


class PackedSequences(IterableDataset[dict[str, torch.Tensor]]):
    """Batches of packed sequences as tensors, made whole: give it to a ``DataLoader`` with ``batch_size=None``.

    Every rank and worker gives other sequences; each is given exactly once a pass. Ranks are those of
    ``torch.distributed`` where it is initialised, else as told.

    A batch, of ``batch_size`` sequences (B) and ``seq_len`` (T):

    ================ ========== =====================================================================
    ``input_ids``    int64 B,T  what the model sees
    ``labels``       int64 B,T  what it shall say next: the same, one further on, already shifted
    ``segment_ids``  int32 B,T  the number of the token's document within the sequence, from 0
    ``position_ids`` int64 B,T  the token's place in its segment, from 0
    ``sources``      int8  B,T  the source of each label, an index into ``source_names``: for a loss a source
    ``sequences``    int64 B    the number of each sequence in the stream
    ================ ========== =====================================================================

    ``state_dict`` and ``load_state_dict`` are those of torchdata's stateful loaders: with ``StatefulDataLoader`` a
    worker is given its own state again. To go on with other numbers of ranks or workers, keep :meth:`state_after`.
    """

    def __init__(
        self,
        data: str | Path | TokenStream,
        settings: LoaderSettings,
        *,
        rank: int | None = None,
        num_ranks: int | None = None,
    ) -> None:
        """Opens and checks the shards. Raises ValueError where one is not as the manifest says."""
        super().__init__()
        self.stream = data if isinstance(data, TokenStream) else TokenStream(data)
        self.settings = settings
        self._rank, self._num_ranks = _ranks(rank, num_ranks)
        self._state: Mapping[str, int] | Sequence[Mapping[str, int]] | None = None
        self._loader: Loader | None = None
        self._planned = self._made(Place(rank=self._rank, num_ranks=self._num_ranks))

    @property
    def source_names(self) -> tuple[str, ...]:
        """What the numbers in ``sources`` mean."""
        return self.stream.source_names

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        loader = self._of_worker()
        for batch in loader:
            yield tensors(batch)

    def state_dict(self) -> dict[str, int]:
        """Where this copy (a worker's, or the only one) is."""
        return self._of_worker().state_dict()

    def state_after(self, num_steps: int) -> dict[str, int]:
        """The state behind so many batches of this rank since the last state loaded, however many workers made them."""
        return self._planned.state_after(num_steps)

    def load_state_dict(self, state: Mapping[str, int] | Sequence[Mapping[str, int]]) -> None:
        """Goes on behind a state, or the states of all workers; before iterating, or between two iterations."""
        self._state = state
        if isinstance(state, Mapping) and int(state.get("num_workers", 1)) > 1:
            self._of_worker().load_state_dict(state)
            return
        self._planned.load_state_dict(state)
        if self._loader is not None:
            self._loader.load_state_dict(state)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loader": None}

    def _of_worker(self) -> Loader:
        """This process's loader: its place is known only inside it."""
        info = get_worker_info()
        worker, num_workers = (info.id, info.num_workers) if info is not None else (0, 1)
        place = Place(rank=self._rank, num_ranks=self._num_ranks, worker=worker, num_workers=num_workers)
        if self._loader is None or self._loader.place != place:  # a forked worker inherits its parent's
            self._loader = self._made(place)
            if self._state is not None:
                self._loader.load_state_dict(self._state)
        return self._loader

    def _made(self, place: Place) -> Loader:
        return Loader(self.stream, self.settings, place=place)


def tensors(batch: Batch) -> dict[str, torch.Tensor]:
    """A batch as the tensors that :class:`PackedSequences` gives."""
    return {
        "input_ids": torch.from_numpy(batch.input_ids[:, :-1]),
        "labels": torch.from_numpy(batch.input_ids[:, 1:]),
        "segment_ids": torch.from_numpy(batch.segment_ids()[:, :-1]),
        "position_ids": torch.from_numpy(batch.positions()[:, :-1].astype(np.int64)),
        "sources": torch.from_numpy(batch.sources()[:, 1:]),
        "sequences": torch.from_numpy(batch.sequences),
    }


def document_mask(segment_ids: torch.Tensor) -> torch.Tensor:
    """Which tokens may look at which: bool (B, 1, T, T), backwards and within one document only.

    >>> document_mask(torch.tensor([[0, 0, 1]])).int().tolist()
    [[[[1, 0, 0], [1, 1, 0], [0, 0, 1]]]]
    """
    same = segment_ids[:, :, None] == segment_ids[:, None, :]
    return (same & torch.ones(same.shape[1:], dtype=torch.bool, device=same.device).tril())[:, None]


def _ranks(rank: int | None, num_ranks: int | None) -> tuple[int, int]:
    if (rank is None) != (num_ranks is None):
        raise ValueError("give rank and num_ranks together, or neither")
    if rank is not None and num_ranks is not None:
        return rank, num_ranks
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
