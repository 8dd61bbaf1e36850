"""Provides the loader as a PyTorch ``IterableDataset``. This module needs torch (extra ``train``) but not the
pipeline.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from mixtures.loader import Batch, Loader, LoaderSettings, PackedDocument, Place, State
from mixtures.pass_counter import PassCounter
from mixtures.stages import StagedStream, Stream, open_stages
from mixtures.stream import TokenStream


class PackedSequences(IterableDataset[dict[str, torch.Tensor]]):
    """Yields whole batches of packed sequences as tensors. Give it to a ``DataLoader`` with ``batch_size=None``.

    Every rank and worker yields different sequences, and each sequence is yielded exactly once per epoch.

    A batch has ``batch_size`` sequences (B) of ``seq_len`` tokens (T):

    ================ ========== =====================================================================
    ``input_ids``    int64 B,T  the tokens that the model sees
    ``labels``       int64 B,T  the tokens that it has to predict, already shifted by one
    ``loss_mask``    bool  B,T  False at the label after a document's end and at padding
    ``segment_ids``  int32 B,T  the number of the token's document within the sequence, from 0
    ``position_ids`` int64 B,T  the token's offset in its segment, from 0
    ``sources``      int8  B,T  the source of each label, an index into ``source_names``; padding is -1
    ``sequences``    int64 B    the number of each sequence in the stream
    ``cu_seqlens``   int32      cumulative lengths of the segments of ``input_ids.flatten()``
    ``max_seqlen``   int32      the length of the longest of these segments
    ================ ========== =====================================================================

    **Passes.** Every iteration is one pass of ``epochs`` epochs. Every pass has a different order, unless ``shuffle``
    is False. This is true for any number of workers, persistent or not. If an iteration was stopped early, the next
    iteration begins the next pass. To resume the stopped pass instead, load the state from `state_after`. The first
    iteration after `load_state_dict` yields the rest of the pass in which the state was saved. With ``epochs=None``
    there is one endless pass, so a second iteration without a loaded state raises ValueError.

    **Ranks** come from ``rank`` and ``num_ranks``, else from ``torch.distributed`` if it is initialised, else from the
    environment variables ``RANK`` and ``WORLD_SIZE``.

    **States.** torchdata's ``StatefulDataLoader`` calls ``state_dict`` and ``load_state_dict``, and gives every worker
    its own state back. To resume with another number of ranks or workers, save `state_after`.
    """

    def __init__(
        self,
        data: str | Path | Stream,
        settings: LoaderSettings,
        *,
        rank: int | None = None,
        num_ranks: int | None = None,
    ) -> None:
        """Opens and checks the shards of a run. If the run continues earlier stages, opens and checks their shards too.

        Args:
            data: a run's output folder, or a stream that is already open.
            rank: the number of this process. Give it together with ``num_ranks``, or give neither.

        Raises:
            ValueError: a shard does not match the manifest, or there are several ranks and this process's rank is
                unknown.
        """
        super().__init__()
        self.stream: Stream = data if isinstance(data, TokenStream | StagedStream) else open_stages(data)
        self.settings = settings
        self._rank, self._num_ranks = _ranks(rank, num_ranks)
        self._are_ranks_given = rank is not None
        self._passes = PassCounter()
        self._num_iterations = 0
        self._state: State | Sequence[State] | None = None
        self._is_state_of_worker = False
        self._loader: Loader | None = None
        self._planned = self._made(Place(rank=self._rank, num_ranks=self._num_ranks))

    @property
    def source_names(self) -> tuple[str, ...]:
        """The names of the sources. A batch's ``sources`` are indices into these names."""
        return self.stream.source_names

    def __len__(self) -> int:
        """Returns the number of batches that this rank yields in a whole pass, summed over its workers.

        Raises:
            TypeError: the number is not the same in all passes (``skip_sequences``), or is infinite (``epochs=None``).
        """
        if self.settings.skip_sequences:
            raise TypeError("with skip_sequences the passes differ in length")
        whole = self._made(self._planned.place)
        return whole.steps_left()

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        self._check_ranks()
        loader = self._loader_of_process()
        number = self._passes.join(*self._iteration(), number=self._pass_of_worker_state())
        first = self._planned.pass_number if not self._is_state_of_worker else loader.pass_number
        if self.settings.epochs is None and number != first:
            return _refused()
        if number != first:
            loader.begin_pass(number)
        elif self._state is not None:
            loader.load_state_dict(self._state)
        else:
            loader.begin_pass(number)
        self._num_iterations += 1
        self._is_state_of_worker = False
        return map(tensors, loader)

    def documents(self, sequence: int) -> list[PackedDocument]:
        """Returns the pieces of documents in one sequence. ``sequence`` is a number from a batch's ``sequences``."""
        return self._planned.documents(sequence)

    def state_dict(self) -> dict[str, int | str]:
        """Returns the state of this process's copy of the data set. In a worker, it is the state of this worker."""
        return self._loader_of_process().state_dict()

    def state_after(self, num_steps: int) -> dict[str, int | str]:
        """Returns the state after ``num_steps`` batches of this rank since the last state was loaded.

        ``num_steps`` counts the batches of all workers of this rank. If it counts batches of several passes, each of
        these passes except the last must have been read to its end.
        """
        loader = self._made(self._planned.place)
        if self._state is not None:
            loader.load_state_dict(self._state)
        while self.settings.epochs is not None and num_steps >= (left := loader.steps_left()):
            num_steps -= left
            loader.begin_pass(loader.pass_number + 1)
        return loader.state_after(num_steps)

    def load_state_dict(self, state: State | Sequence[State]) -> None:
        """Makes the next iteration continue from a state, or from the states of all workers.

        Call this method before the first iteration or between iterations.
        """
        self._state = state
        if isinstance(state, Mapping) and int(state.get("num_workers", 1)) > 1:
            self._loader_of_process().load_state_dict(state)
            self._is_state_of_worker = True
            return
        self._planned.load_state_dict(state)
        if self._loader is not None:
            self._loader.load_state_dict(state)
        if get_worker_info() is None:
            self._passes.restart(self._planned.pass_number)
        else:
            self._is_state_of_worker = True

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loader": None}

    def _loader_of_process(self) -> Loader:
        """Returns this process's loader, and makes it at the first call. It cannot be made earlier, because a worker
        learns its number only in its own process.
        """
        info = get_worker_info()
        worker, num_workers = (info.id, info.num_workers) if info is not None else (0, 1)
        place = Place(rank=self._rank, num_ranks=self._num_ranks, worker=worker, num_workers=num_workers)
        if self._loader is None or self._loader.place != place:  # a forked worker inherits its parent's
            self._loader = self._made(place)
            if self._state is not None:
                self._loader.load_state_dict(self._state)
        return self._loader

    def _iteration(self) -> tuple[str, int]:
        """Returns a text that identifies this iteration, and the number of this worker. All workers of an iteration get
        the same text."""
        info = get_worker_info()
        if info is None:
            return f"process {os.getpid()} {self._num_iterations}", 0
        return f"seed {info.seed - info.id} {self._num_iterations}", info.id

    def _pass_of_worker_state(self) -> int | None:
        return self._loader_of_process().pass_number if self._is_state_of_worker else None

    def _check_ranks(self) -> None:
        """Raises ValueError if torch.distributed gives another rank than this object has. This happens if it was
        initialised after this object was made.
        """
        if self._are_ranks_given or get_worker_info() is not None:
            return
        if (now := _initialised_ranks()) is not None and now != (self._rank, self._num_ranks):
            raise ValueError(
                f"the data was opened as rank {self._rank} of {self._num_ranks}, and torch.distributed now says rank "
                f"{now[0]} of {now[1]}: open it after init_process_group, or give rank and num_ranks"
            )

    def _made(self, place: Place) -> Loader:
        return Loader(self.stream, self.settings, place=place)


def _refused() -> Iterator[dict[str, torch.Tensor]]:
    """Returns an iterator that raises ValueError when its first batch is requested.

    If a persistent worker raised the error earlier, it would die without a message.
    """
    raise ValueError(
        "epochs=None is one endless pass, and it was begun already: keep its iterator, or load the state to go on from "
        "(state_after counts the steps that were used) before iterating again"
    )
    yield


def tensors(batch: Batch) -> dict[str, torch.Tensor]:
    """Returns a batch as the dict of tensors that :class:`PackedSequences` yields."""
    return {
        "input_ids": torch.from_numpy(batch.input_ids[:, :-1]),
        "labels": torch.from_numpy(batch.input_ids[:, 1:]),
        "loss_mask": torch.from_numpy(batch.loss_mask()),
        "segment_ids": torch.from_numpy(batch.segment_ids()[:, :-1]),
        "position_ids": torch.from_numpy(batch.positions()[:, :-1].astype(np.int64)),
        "sources": torch.from_numpy(batch.sources()[:, 1:]),
        "sequences": torch.from_numpy(batch.sequences),
        "cu_seqlens": torch.from_numpy(batch.cu_seqlens()),
        "max_seqlen": torch.tensor(batch.max_seqlen(), dtype=torch.int32),
    }


def document_mask(segment_ids: torch.Tensor) -> torch.Tensor:
    """Returns an attention mask (bool, B, 1, T, T): each token sees itself and earlier tokens of its document.

    >>> document_mask(torch.tensor([[0, 0, 1]])).int().tolist()
    [[[[1, 0, 0], [1, 1, 0], [0, 0, 1]]]]
    """
    same = segment_ids[:, :, None] == segment_ids[:, None, :]
    return (same & torch.ones(same.shape[1:], dtype=torch.bool, device=same.device).tril())[:, None]


def _ranks(rank: int | None, num_ranks: int | None) -> tuple[int, int]:
    """Returns the rank and the number of ranks. Raises ValueError if there are several ranks and this process's rank is
    unknown."""
    if (rank is None) != (num_ranks is None):
        raise ValueError("give rank and num_ranks together, or neither")
    if rank is not None and num_ranks is not None:
        return rank, num_ranks
    if (initialised := _initialised_ranks()) is not None:
        return initialised
    here, many = (_number_in_environment(name) for name in ("RANK", "WORLD_SIZE"))
    if here is not None and many is not None:
        return here, many
    if many is not None and many > 1:
        raise ValueError(
            f"WORLD_SIZE is {many} and RANK is not set, so every process would load the same data: call "
            "init_process_group first, set RANK, or give rank and num_ranks"
        )
    return 0, 1


def _initialised_ranks() -> tuple[int, int] | None:
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return None


def _number_in_environment(name: str) -> int | None:
    text = os.environ.get(name, "")
    if not text:
        return None
    if not text.isdecimal():
        raise ValueError(f"the environment's {name} is {text!r}, which is not a number")
    return int(text)
