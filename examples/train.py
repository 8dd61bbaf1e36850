"""Trains a small LLaMA on the shards of a run: ``python examples/train.py out``.

The model is Hugging Face's ``LlamaForCausalLM`` from a config (RMSNorm, SwiGLU, RoPE). The optimiser and its schedule
are those of Touvron et al. 2023 (arXiv:2302.13971), section 2.3: AdamW with betas 0.9 and 0.95, weight decay 0.1,
gradients clipped at 1.0, 2,000 steps of warm-up, then a cosine down to 10% of the learning rate. On fewer than 20,000
steps the warm-up is a tenth of them, unless ``--warmup-steps`` says otherwise.

With the defaults it takes about two minutes on a laptop's CPU. Losses go to ``DIR/losses.jsonl``, a line a step, and a
checkpoint to ``DIR/checkpoint.pt``, which holds the loader's state too: started again after a kill, the same command
goes on behind the last checkpoint and writes the losses that an unbroken run would have written.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
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
from mixtures.stream import TokenStream
from mixtures.torch_dataset import PackedSequences, document_mask, tensors

PAPER_WARMUP_STEPS = 2_000
MIN_LEARNING_RATE = 0.1
CLIP = 1.0


def make_model(vocab_size: int, args: argparse.Namespace) -> LlamaForCausalLM:
    """A LLaMA of the given size; 8/3 of the width in the feed-forward layers, as in the paper (section 2.2)."""
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
    """Matrices decay; gains of norms do not."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": 0.1},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.95))


def learning_rate_at(step: int, args: argparse.Namespace) -> float:
    """Linear warm-up, then a cosine to a tenth."""
    if step < args.warmup_steps:
        return float(args.learning_rate * (step + 1) / args.warmup_steps)
    done = (step - args.warmup_steps) / max(1, args.steps - args.warmup_steps)
    return float(
        args.learning_rate * (MIN_LEARNING_RATE + (1 - MIN_LEARNING_RATE) * (1 + math.cos(math.pi * done)) / 2)
    )


def losses_of(model: LlamaForCausalLM, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The loss of every token (B, T). Attention does not cross documents, and positions begin anew in each."""
    logits = model(
        input_ids=batch["input_ids"],
        attention_mask=document_mask(batch["segment_ids"]),
        position_ids=batch["position_ids"],
    ).logits
    return functional.cross_entropy(logits.transpose(1, 2).float(), batch["labels"], reduction="none")


def by_source(losses: torch.Tensor, sources: torch.Tensor, names: tuple[str, ...]) -> dict[str, float]:
    """The mean loss of each source's tokens, of those that are in the batch."""
    return {
        name: round(losses[sources == number].mean().item(), 6)
        for number, name in enumerate(names)
        if (sources == number).any()
    }


@torch.no_grad()
def validation_losses(model: LlamaForCausalLM, folder: str, args: argparse.Namespace) -> dict[str, float]:
    """The mean loss on the documents held out of each source: those that fill a sequence."""
    model.eval()
    found = {}
    for source in sorted(validation_infos(TokenStream(folder).manifest)):
        stream = TokenStream(folder, validation_source=source)
        if stream.num_tokens <= args.seq_len:
            continue
        settings = LoaderSettings(seq_len=args.seq_len, batch_size=args.batch_size, shuffle=False, drop_last=False)
        losses = [losses_of(model, tensors(batch)).flatten() for batch in Loader(stream, settings)]
        found[source] = round(torch.cat(losses).mean().item(), 4)
    model.train()
    return found


class Run:
    """What a checkpoint holds: the model, the optimiser, and where the data is."""

    def __init__(self, args: argparse.Namespace) -> None:
        torch.manual_seed(args.seed)
        self.args = args
        self.folder = Path(args.checkpoints)
        settings = LoaderSettings(seq_len=args.seq_len, batch_size=args.batch_size, seed=args.seed, epochs=None)
        self.data = PackedSequences(TokenStream(args.data, checksums="://" not in args.data), settings)
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
        """What must be the same when a run goes on."""
        left_out = ("checkpoints", "checkpoint_steps", "workers", "data", "stop_after", "threads")
        return {name: value for name, value in vars(self.args).items() if name not in left_out}

    def load(self) -> None:
        """Goes on behind the checkpoint; losses written behind it are taken away again."""
        saved = torch.load(self.checkpoint, weights_only=True)
        if saved["settings"] != self.settings():
            raise ValueError(f"{self.checkpoint} is of another run's settings: {saved['settings']}")
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.data.load_state_dict(saved["data"])
        self.step = self.loaded_step = saved["step"]
        lines = self.losses.read_text().splitlines(keepends=True)[: self.step]
        self.losses.write_text("".join(lines))

    def save(self) -> None:
        """Under a temporary name, then renamed: a kill leaves the checkpoint before it."""
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
        """One step. Returns what goes into the file of losses."""
        rate = learning_rate_at(self.step, self.args)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        losses = losses_of(self.model, batch)
        loss = losses.mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.optimizer.step()
        sources = by_source(losses.detach(), batch["sources"], self.data.source_names)
        line = {"step": self.step, "loss": round(loss.item(), 6), "learning_rate": rate, "sources": sources}
        self.step += 1
        return line


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit status: 0 trained, 2 the request was wrong."""
    args = parse(argv)
    torch.set_num_threads(args.threads)
    try:
        run = Run(args)
        if run.checkpoint.exists():
            run.load()
            print(f"going on behind step {run.step}")
    except ValueError as error:
        print(f"train: {error}", file=sys.stderr)
        return 2
    train(run)
    return 0


def train(run: Run) -> None:
    """Trains to the last step, writing losses as they come and checkpoints now and then."""
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


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The settings, with the warm-up they imply."""
    parser = argparse.ArgumentParser(description="Trains a small LLaMA on the shards of a run.")
    parser.add_argument("data", metavar="DIR", help="a run's output folder (its URL, if it lies in a store)")
    for flag, kind, default, said in (
        ("--checkpoints", str, "checkpoints", "folder of the checkpoint and the losses"),
        ("--steps", int, 300, "optimiser steps"),
        ("--seq-len", int, 256, "tokens"),
        ("--batch-size", int, 8, "sequences a step"),
        ("--width", int, 128, "of the model"),
        ("--layers", int, 4, "of the model"),
        ("--heads", int, 4, "of attention"),
        ("--learning-rate", float, 2e-3, "at its height; the paper's 3e-4 is for 7B and 13B"),
        ("--warmup-steps", int, None, "default: 2,000 as in the paper, a tenth of the steps where those are few"),
        ("--seed", int, 0, "of the weights and of the order"),
        ("--checkpoint-steps", int, 50, "steps between two checkpoints"),
        ("--stop-after", int, None, "stops at this step, the schedule being that of --steps"),
        ("--workers", int, 0, "processes that load; changes nothing of what is loaded"),
        ("--threads", int, os.cpu_count() or 1, "of torch"),
    ):
        parser.add_argument(flag, type=kind, default=default, help=f"{said} (default: %(default)s)")
    args = parser.parse_args(argv)
    if args.warmup_steps is None:
        args.warmup_steps = min(PAPER_WARMUP_STEPS, max(1, args.steps // 10))
    return args


if __name__ == "__main__":
    raise SystemExit(main())
