"""Trains a small LLaMA on the shards of a run: ``python examples/train.py out``.

The model is Hugging Face's ``LlamaForCausalLM`` with random weights (RMSNorm, SwiGLU, RoPE). The optimiser and its
schedule are those of Touvron et al. 2023 (arXiv:2302.13971), section 2.3: AdamW with betas 0.9 and 0.95, weight decay
0.1, gradients clipped at 1.0, 2,000 steps of warm-up, then a cosine down to 10% of the learning rate. If a training has
fewer than 20,000 steps, a tenth of its steps are the warm-up. ``--warmup-steps`` sets another number.

With the defaults, training takes about two minutes on a laptop's CPU. ``--checkpoints DIR`` names the folder for the
results. ``DIR/losses.jsonl`` gets one line per step. ``DIR/checkpoint.pt`` gets the model, the optimiser and the
loader's state. If the script is killed, run the same command again: it continues after the last checkpoint, and writes
the same losses as an uninterrupted run. If ``out`` is a later stage of the data (made with ``--continue-from``), the
training continues from the checkpoint of the previous stage.
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
from typing import Any, get_args

import torch
from torch.nn import functional
from torch.utils.data import DataLoader
from transformers import LlamaConfig, LlamaForCausalLM

from mixtures.loader import Loader, LoaderSettings, Packing
from mixtures.manifest import validation_infos
from mixtures.stages import open_stages
from mixtures.stream import TokenStream
from mixtures.torch_dataset import PackedSequences, document_mask, tensors

PAPER_WARMUP_STEPS = 2_000
MIN_LEARNING_RATE = 0.1
CLIP = 1.0


def make_model(vocab_size: int, args: argparse.Namespace) -> LlamaForCausalLM:
    """Returns a LLaMA of the requested size. Its feed-forward layers are 8/3 times as wide as the model, as in the
    LLaMA paper (section 2.2).
    """
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
    """Returns an AdamW optimiser. Only matrices get weight decay. The gains of the norms (vectors) get none."""
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

    The loss is 0 at padding. It is also 0 at the last token of a document, because the label there is the first token
    of an unrelated document. To get a mean, divide the sum by ``loss_mask.sum()``.
    """
    logits = model(
        input_ids=batch["input_ids"],
        attention_mask=document_mask(batch["segment_ids"]),
        position_ids=batch["position_ids"],
    ).logits
    losses = functional.cross_entropy(logits.transpose(1, 2).float(), batch["labels"], reduction="none")
    return losses * batch["loss_mask"]


def by_source(losses: torch.Tensor, batch: dict[str, torch.Tensor], names: tuple[str, ...]) -> dict[str, float]:
    """Returns a dict from the name of each source in the batch to its mean loss."""
    found = {}
    for number, name in enumerate(names):
        is_of_source = (batch["sources"] == number) & batch["loss_mask"]
        if is_of_source.any():
            found[name] = round(losses[is_of_source].mean().item(), 6)
    return found


@torch.no_grad()
def validation_losses(model: LlamaForCausalLM, folder: str, args: argparse.Namespace) -> dict[str, float]:
    """Returns a dict from each source to the mean loss on its held-out documents.

    If the last tokens of a source do not fill a sequence, they are not used.
    """
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
    """Holds a training: all that a checkpoint saves (the model, the optimiser and the loader's state)."""

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
        """Returns the settings that must not change when the training is resumed."""
        left_out = (
            "accept_other_data", "checkpoints", "checkpoint_steps", "data", "skip_steps", "stop_after", "threads",
            "workers",
        )  # fmt: skip
        return {name: value for name, value in vars(self.args).items() if name not in left_out}

    def load(self) -> None:
        """Loads the checkpoint. Deletes the losses of later steps, because these steps are trained again."""
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


def main(argv: list[str] | None = None) -> int:
    """Runs the command. Returns 0 if the training was done, 2 if the arguments or checkpoint do not fit the data."""
    args = parse(argv)
    torch.set_num_threads(args.threads)
    try:
        run = Run(args)
        if run.checkpoint.exists():
            run.load()
            print(f"going on after step {run.step}")
    except ValueError as error:
        print(f"train: {error}", file=sys.stderr)
        return 2
    train(run)
    return 0


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


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parses the arguments, and sets the number of warm-up steps if it is not given."""
    parser = argparse.ArgumentParser(description="Trains a small LLaMA on the shards of a run.")
    parser.add_argument("data", metavar="DIR", help="a run's output folder, or its URL in a store")
    for flag, kind, default, text in (
        ("--checkpoints", str, "checkpoints", "folder for the checkpoint and the losses"),
        ("--steps", int, 300, "optimiser steps"),
        ("--seq-len", int, 256, "tokens per sequence"),
        ("--batch-size", int, 8, "sequences per step"),
        ("--width", int, 128, "width of the model"),
        ("--layers", int, 4, "layers of the model"),
        ("--heads", int, 4, "attention heads"),
        ("--learning-rate", float, 2e-3, "peak learning rate; the paper's 3e-4 is for 7B and 13B"),
        ("--warmup-steps", int, None, "warm-up; 2,000 as in the paper, or a tenth of the steps if that is less"),
        ("--seed", int, 0, "seed of the weights and of the order"),
        ("--checkpoint-steps", int, 50, "steps between two checkpoints"),
        ("--stop-after", int, None, "stops at this step; the schedule is still that of --steps"),
        ("--workers", int, 0, "processes that load; does not change what is loaded"),
        ("--threads", int, os.cpu_count() or 1, "threads of torch"),
    ):
        parser.add_argument(flag, type=kind, default=default, help=f"{text} (default: %(default)s)")
    parser.add_argument(
        "--packing", choices=get_args(Packing), default="concatenate",
        help="best_fit packs whole documents and pads (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--skip-steps", type=_range, nargs="+", default=[], metavar="A:B",
        help="leaves out the data of the steps A to before B, after a loss spike for example",
    )  # fmt: skip
    parser.add_argument(
        "--accept-other-data", action="store_true",
        help="goes on with a checkpoint that was trained on other data (default: that is refused)",
    )  # fmt: skip
    args = parser.parse_args(argv)
    if args.warmup_steps is None:
        args.warmup_steps = min(PAPER_WARMUP_STEPS, max(1, args.steps // 10))
    return args


def _range(text: str) -> tuple[int, int]:
    first, colon, end = text.partition(":")
    if not (colon and first.isdecimal() and end.isdecimal() and int(first) < int(end)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a range of steps such as 100:110")
    return int(first), int(end)


if __name__ == "__main__":
    raise SystemExit(main())
