"""Trains a small LLaMA on the shards of a run: ``python examples/train.py out``.

The model is Hugging Face's ``LlamaForCausalLM`` with random weights (RMSNorm, SwiGLU, RoPE). The optimiser and its
schedule are those of Touvron et al. 2023 (arXiv:2302.13971), section 2.3: AdamW with betas 0.9 and 0.95, weight decay
0.1, gradients clipped at 1.0, 2,000 steps of warm-up, then a cosine down to 10% of the learning rate. If a training has
fewer than 20,000 steps, a tenth of its steps are the warm-up. ``--warmup-steps`` sets another number.

With the defaults, training takes about two minutes on a laptop's CPU. ``--checkpoints DIR`` names the folder for the
results. ``DIR/losses.jsonl`` gets one line per step. ``DIR/checkpoint.pt`` gets the model, the optimiser and the
loader's state. If the script is killed, run the same command again: it continues after the last checkpoint, and writes
the same losses as an uninterrupted run. If the output belongs to a later stage (``--continue-from``), training
continues from the checkpoint of the previous stage.

The model and the loop are in ``training.py``, which is in the same folder.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import get_args

from mixtures.loader_settings import Packing

PAPER_WARMUP_STEPS = 2_000


def main(argv: list[str] | None = None) -> int:
    """Runs the command. Returns 0 if the training was done, 2 if the arguments or checkpoint do not fit the data."""
    args = parse(argv)
    # PyTorch and transformers take ten seconds to import, so the flags are parsed before.
    import torch
    from training import Run, train

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
