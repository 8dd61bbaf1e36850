"""Contains the model, the optimiser and the loop of ``examples/train.py``, which reads the flags."""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from torch.utils.data import DataLoader
from transformers import LlamaConfig, LlamaForCausalLM

from mixtures.loader import Loader, LoaderSettings
from mixtures.manifest import validation_infos
from mixtures.stages import open_stages
from mixtures.stream import TokenStream
from mixtures.torch_dataset import PackedSequences, document_mask, tensors

MIN_LEARNING_RATE = 0.1
CLIP = 1.0


def make_model(vocab_size: int, args: argparse.Namespace) -> LlamaForCausalLM:
    """Returns a LLaMA of the requested size. Its feed-forward layers are 8/3 times as wide as the model (the paper,
    section 2.2)."""
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=args.width,
        intermediate_size=-(-args.width * 8 // 3 // 32) * 32,
        num_hidden_layers=args.layers,
        num_attention_heads=args.heads,
        max_position_embeddings=args.seq_len,
        rms_norm_eps=1e-6,
        tie_word_embeddings=False,
        attn_implementation="sdpa",
    )
    return LlamaForCausalLM(config)


def make_optimizer(model: LlamaForCausalLM, learning_rate: float) -> torch.optim.AdamW:
    """Returns an AdamW optimiser. Matrices get weight decay; the gains of norms get none."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": 0.1},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.95))


def learning_rate_at(step: int, args: argparse.Namespace) -> float:
    """Returns the learning rate of a step: a linear warm-up, then a cosine down to a tenth of the peak."""
    if step < args.warmup_steps:
        return float(args.learning_rate * (step + 1) / args.warmup_steps)
    done = (step - args.warmup_steps) / max(1, args.steps - args.warmup_steps)
    return float(
        args.learning_rate * (MIN_LEARNING_RATE + (1 - MIN_LEARNING_RATE) * (1 + math.cos(math.pi * done)) / 2)
    )


def losses_of(model: LlamaForCausalLM, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Returns the loss of every token, with shape (B, T). A token attends only to its own document, and positions
    restart in each document.

    The loss is 0 at padding, and at the label after the end of a document. To get a mean, divide the sum by
    ``loss_mask.sum()``.
    """
    logits = model(
        input_ids=batch["input_ids"],
        attention_mask=document_mask(batch["segment_ids"]),
        position_ids=batch["position_ids"],
    ).logits
    losses = functional.cross_entropy(logits.transpose(1, 2).float(), batch["labels"], reduction="none")
    return losses * batch["loss_mask"]


def by_source(losses: torch.Tensor, batch: dict[str, torch.Tensor], names: tuple[str, ...]) -> dict[str, float]:
    """Returns the mean loss of each source that the batch contains."""
    found = {}
    for number, name in enumerate(names):
        is_of_source = (batch["sources"] == number) & batch["loss_mask"]
        if is_of_source.any():
            found[name] = round(losses[is_of_source].mean().item(), 6)
    return found


@torch.no_grad()
def validation_losses(model: LlamaForCausalLM, folder: str, args: argparse.Namespace) -> dict[str, float]:
    """Returns the mean loss of each source on its held-out documents. If the last tokens do not fill a sequence, they
    are not used."""
    model.eval()
    found = {}
    for source in sorted(validation_infos(TokenStream(folder).manifest)):
        stream = TokenStream(folder, validation_source=source)
        if stream.num_tokens <= args.seq_len:
            continue
        settings = LoaderSettings(seq_len=args.seq_len, batch_size=args.batch_size, shuffle=False, drop_last=False)
        total, num_labels = 0.0, 0
        for batch in map(tensors, Loader(stream, settings)):
            total += losses_of(model, batch).sum().item()
            num_labels += int(batch["loss_mask"].sum())
        found[source] = round(total / max(1, num_labels), 4)
    model.train()
    return found


class Run:
    """Holds all that a checkpoint saves: the model, the optimiser and the loader's state."""

    def __init__(self, args: argparse.Namespace) -> None:
        torch.manual_seed(args.seed)
        self.args = args
        self.folder = Path(args.checkpoints)
        settings = LoaderSettings(
            seq_len=args.seq_len,
            batch_size=args.batch_size,
            seed=args.seed,
            epochs=None,
            packing=args.packing,
            skip_sequences=[(first * args.batch_size, end * args.batch_size) for first, end in args.skip_steps],
            accept_other_data=args.accept_other_data,
        )
        self.data = PackedSequences(open_stages(args.data, checksums="://" not in args.data), settings)
        self.model = make_model(self.data.stream.manifest["tokenizer"]["vocab_size"], args)
        self.optimizer = make_optimizer(self.model, args.learning_rate)
        self.step = self.loaded_step = 0

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def losses(self) -> Path:
        return self.folder / "losses.jsonl"

    def settings(self) -> dict[str, Any]:
        """Returns the settings that must not change when a run is resumed."""
        left_out = (
            "accept_other_data", "checkpoints", "checkpoint_steps", "data", "skip_steps", "stop_after", "threads",
            "workers",
        )  # fmt: skip
        return {name: value for name, value in vars(self.args).items() if name not in left_out}

    def load(self) -> None:
        """Loads the checkpoint, and deletes the losses that were written after it."""
        saved = torch.load(self.checkpoint, weights_only=True)
        if saved["settings"] != self.settings():
            raise ValueError(f"{self.checkpoint} was trained with other settings: {saved['settings']}")
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.data.load_state_dict(saved["data"])
        self.step = self.loaded_step = saved["step"]
        lines = self.losses.read_text().splitlines(keepends=True)[: self.step]
        self.losses.write_text("".join(lines))

    def save(self) -> None:
        """Writes the checkpoint under a temporary name, then renames it.

        If the process is killed before the renaming, the old checkpoint remains.
        """
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "data": self.data.state_after(self.step - self.loaded_step),
            "step": self.step,
            "settings": self.settings(),
        }
        temporary = self.checkpoint.with_suffix(".tmp")
        torch.save(state, temporary)
        os.replace(temporary, self.checkpoint)

    def batches(self) -> Iterator[dict[str, torch.Tensor]]:
        yield from DataLoader(self.data, batch_size=None, num_workers=self.args.workers)

    def train_step(self, batch: dict[str, torch.Tensor]) -> dict[str, Any]:
        """Trains one step, and returns its line for ``losses.jsonl``."""
        rate = learning_rate_at(self.step, self.args)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        losses = losses_of(self.model, batch)
        loss = losses.sum() / batch["loss_mask"].sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.optimizer.step()
        sources = by_source(losses.detach(), batch, self.data.source_names)
        line = {"step": self.step, "loss": round(loss.item(), 6), "learning_rate": rate, "sources": sources}
        self.step += 1
        return line


def train(run: Run) -> None:
    """Trains to the last step. Writes the losses of every step, and a checkpoint every ``--checkpoint-steps`` steps."""
    args, begun = run.args, time.monotonic()
    num_parameters = sum(p.numel() for p in run.model.parameters())
    print(f"{num_parameters:,} parameters, {run.data.stream.num_tokens:,} tokens in the stream, {args.steps} steps")
    run.folder.mkdir(parents=True, exist_ok=True)
    with run.losses.open("a") as losses:
        for batch in run.batches():
            if run.step >= min(args.steps, args.stop_after or args.steps):
                break
            line = run.train_step(batch)
            losses.write(json.dumps(line) + "\n")
            losses.flush()
            if run.step % args.checkpoint_steps == 0:
                run.save()
            if run.step % 20 == 0 or run.step == 1:
                print(f"step {run.step:>5}  loss {line['loss']:.3f}  {time.monotonic() - begun:.0f} s", flush=True)
    run.save()
    held_out = validation_losses(run.model, args.data, args)
    if held_out:
        print("held out: " + "  ".join(f"{source} {loss:.3f}" for source, loss in held_out.items()))
        (run.folder / "validation.json").write_text(json.dumps(held_out, indent=1) + "\n")
