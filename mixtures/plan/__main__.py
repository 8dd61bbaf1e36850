"""Runs the command ``python -m mixtures.plan``."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from typing import Any

from mixtures.config import recipe_of_file
from mixtures.parts import OTHER, PartRule, names_of, part_name, source_of
from mixtures.plan.by_part import by_part
from mixtures.plan.deal import epochs_to_weights, format_table, plan, unique_tokens, wanted_epochs
from mixtures.plan.shares import Plan, SourceTokens
from mixtures.plan.table import format_rows
from mixtures.recipe import Recipe
from mixtures.recorded_recipe import recorded_recipe
from mixtures.weights import rounded
from tokenizer.did_you_mean import did_you_mean
from tokenizer.interrupts import as_command
from tokenizer.numbers import tokens_flag
from tokenizer.os_errors import check_is_folder, described, status_of
from tokenizer.program import name_of

_DEFAULT = "llama"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns 0 if the plan was printed, 1 if a disk failed, 2 if the request was wrong or
    the mixture is impossible.
    """
    args = build_parser().parse_args(argv)
    try:
        recipe, where = _recipe(args.config, args.stats)
        num_tokens = None if args.tokens is None else _tokens(args.tokens)
        if args.epochs and args.stats is None:
            raise ValueError(
                "--epochs needs --stats DIR, because the weights follow from the epochs and the tokens that there are"
            )
        follows = recipe.rule is not None or any(rule.is_epochs for rule in recipe.parts.values())
        if follows and args.stats is None:
            raise ValueError(f"the weights of {where} follow from the tokens that there are: give --stats DIR")
        if args.continue_from and (args.stats is None or args.epochs):
            raise ValueError("--continue-from needs --stats DIR, and takes no --epochs")
        if args.as_json and (args.stats is None or args.epochs):
            raise ValueError("--json prints the plan for counted tokens: give --stats DIR, and no --epochs")
        if args.stats is None:
            text = _of_paper(recipe, num_tokens or recipe.tokens)
        elif args.epochs:
            text = _of_epochs(recipe, read_stats(Path(args.stats), recipe), args.epochs)
        else:
            available = _without_validation(recipe, read_stats(Path(args.stats), recipe))
            if args.continue_from:
                from mixtures.manifest import read_manifest  # imports pyarrow

                available = _continued(available, read_manifest(args.continue_from))
            made = plan(recipe, available, num_tokens)
            if args.as_json:
                print(json.dumps(_as_json(recipe, made), indent=2))
                return 0
            text = format_table(recipe, made)
            if recipe.validation:
                text += "\nvalidation is subtracted as an estimate; a run counts exactly what is left"
            if args.continue_from:
                text += (
                    f"\ncontinues {args.continue_from}; what its stages left of their last documents is not counted, "
                    "so a run may find a few tokens less"
                )
    except ValueError as error:
        print(f"mixtures.plan: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"mixtures.plan: {described(error, args.stats or args.config or '.')}", file=sys.stderr)
        return status_of(error)
    print(text)
    if args.config is None and args.stats is not None:
        print(f"recipe: {where}; --config FILE plans another one")
    return 0


def _recipe(config: str | None, stats: str | None) -> tuple[Recipe, str]:
    """Returns the recipe to plan, and its name for messages. Without ``--config``, this is the recipe of the run that
    made the statistics. If there is no such recipe, it is ``llama``.
    """
    if config is not None:
        return recipe_of_file(config), config
    found = recorded_recipe(Path(stats)) if stats is not None else None
    if found is not None:
        return found, f"{found.name}, of the run in {stats}"
    return recipe_of_file(_DEFAULT), _DEFAULT if stats is None else f"{_DEFAULT}, because {stats} records none"


def read_stats(folder: Path, recipe: Recipe) -> dict[str, SourceTokens]:
    """Returns the tokens and documents of each source or part, from the files ``stats/SOURCE.json``.

    ``folder`` is either ``stats`` or the folder that contains it. Sources without a file are left out.

    Raises:
        ValueError: there is no such folder, no source has a file, a file is damaged, or its tokens have not been
            counted yet.
    """
    check_is_folder(str(folder))
    root = folder / "stats" if (folder / "stats").is_dir() else folder
    found: dict[str, SourceTokens] = {}
    for source in recipe.weights:
        path = root / f"{source}.json"
        if not path.is_file():
            continue
        try:
            stats: Any = json.loads(path.read_text(encoding="utf-8"))
            tokens, documents = stats["tokens"], stats["documents"]["kept"]
        except (OSError, json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not the statistics of a source: {error!r}") from error
        if tokens is None:
            raise ValueError(f"{path}: its tokens are not counted yet; the mix phase counts them")
        if source in recipe.parts:
            found |= _of_parts(path, source, recipe.parts[source], stats)
        else:
            found[source] = SourceTokens(int(tokens), int(documents))
    if not found:
        raise ValueError(f"{root} holds no SOURCE.json of {', '.join(recipe.weights)}")
    return found


def _of_parts(path: Path, source: str, rule: PartRule, stats: dict[str, Any]) -> dict[str, SourceTokens]:
    """Returns the tokens and documents of a source's parts. Values that the rule does not name belong to ``other``.

    Raises ValueError if a value was not counted.
    """
    said = stats.get("parts") or {}
    counted = said.get("values", {}) if said.get("by") == rule.by else {}
    lacking = [value for value in rule.named if value not in counted or value == OTHER]
    if lacking:
        raise ValueError(
            f"{path}: the tokens of {rule.by} {lacking[0]} are not counted; a run's mix phase with this recipe counts "
            "them, whether or not its mixture can be made"
        )
    tokens = {value: int(counted[value]["tokens"]) for value in rule.named}
    documents = {value: int(counted[value]["documents"]) for value in rule.named}
    if rule.has_other:
        documents[OTHER] = int(said["documents"]) - sum(documents.values())
        tokens[OTHER] = int(stats["tokens"]) - sum(tokens.values())
    return {part_name(source, value): SourceTokens(tokens[value], documents[value]) for value in rule.weights}


def _without_validation(recipe: Recipe, available: dict[str, SourceTokens]) -> dict[str, SourceTokens]:
    left = {}
    for source, have in available.items():
        held = recipe.validation.get(source_of(source))
        share = Fraction(0)
        if held is not None:
            whole = sum(available[name].tokens for name in names_of(recipe.parts, source_of(source)))
            share = Fraction(held.share) if held.share is not None else Fraction(held.tokens or 0, max(1, whole))
        kept = max(Fraction(0), 1 - share)
        left[source] = SourceTokens(int(have.tokens * kept), int(have.documents * kept))
    return left


def _continued(available: dict[str, SourceTokens], manifest: dict[str, Any]) -> dict[str, SourceTokens]:
    """Adds to each source how many of its tokens earlier stages of the training have used.

    These numbers are in ``manifest``, the manifest of the last finished stage. Documents that
    ``mixtures.forget`` removed later count as used.
    """
    taken: Counter[str] = Counter()
    for stage in (*manifest.get("stages", []), manifest):
        taken.update({source: line["tokens"] for source, line in stage["sources"].items()})
    for entry in manifest.get("forgotten", []):
        taken.update(entry["tokens"])
    changed = sorted({source_of(name) for name in taken} & {source_of(s) for s in available if s not in taken})
    if changed:
        raise ValueError(
            f"--continue-from: {changed[0]} was divided otherwise there, so what is used of its parts must be counted; "
            "--phase=mix counts it"
        )
    return {s: SourceTokens(have.tokens, have.documents, taken[s]) for s, have in available.items()}


def _of_paper(recipe: Recipe, num_tokens: int) -> str:
    """Returns a table of the tokens that each source would need for a stream with the recipe's weights and epochs."""
    recipe = by_part(recipe)
    disk_gb = recipe.paper.disk_gb if recipe.paper else {}
    rows = []
    for source, tokens in unique_tokens(recipe, num_tokens).items():
        weight = recipe.weights[source]
        seen = f"{_billions(Fraction(weight) / 100 * num_tokens)}"
        rows.append(
            (
                source,
                f"{weight:f}",
                seen,
                f"{wanted_epochs(recipe, source):.2f}",
                _billions(tokens),
                f"{disk_gb.get(source, '-')}",
            )
        )
    total = sum(unique_tokens(recipe, num_tokens).values(), Fraction(0))
    disk = f"{sum(disk_gb.values())}" if disk_gb else "-"
    rows.append(("total", "100", _billions(Fraction(num_tokens)), "", _billions(total), disk))
    table = format_rows(rows, ("source", "weight %", "tokens seen", "epochs", "tokens there must be", "disk GB"))
    cite = f"\nepochs and disk sizes: {recipe.paper.cite}" if recipe.paper else "\nepochs: the recipe's max_epochs"
    return table + cite


def _of_epochs(recipe: Recipe, available: dict[str, SourceTokens], epochs: Sequence[str]) -> str:
    """Returns a table of the weights that result if each source is repeated as ``epochs`` says, such as ``books=2``."""
    wanted = {source: Decimal(1) for source in available}
    for one in epochs:
        source, _, number = one.partition("=")
        if source not in wanted:
            raise ValueError(f"--epochs {one}: {source} is not among {', '.join(wanted)}{did_you_mean(source, wanted)}")
        try:
            wanted[source] = Decimal(number)
        except InvalidOperation:
            raise ValueError(f"--epochs {one}: {number!r} is not a number; write {source}=2") from None
        if not (wanted[source].is_finite() and wanted[source] >= 0):
            raise ValueError(f"--epochs {one}: epochs cannot be {number}")
    recipe = by_part(recipe)
    weights = rounded(epochs_to_weights({s: have.tokens for s, have in available.items()}, wanted))
    tokens_seen = {s: int(wanted[s] * have.tokens) for s, have in available.items()}
    rows = [
        (
            source,
            f"{available[source].tokens:,}",
            f"{wanted[source]:f}",
            f"{tokens_seen[source]:,}",
            f"{weight:f}",
            f"{recipe.weights[source]:f}" if recipe.rule is None or recipe.rule.fixed else "-",
        )
        for source, weight in weights.items()
    ]
    seen = sum(tokens_seen.values())
    rows.append(("total", f"{sum(have.tokens for have in available.values()):,}", "", f"{seen:,}", "100.0000", "100"))
    return format_rows(rows, ("source", "available tokens", "epochs", "tokens seen", "weight %", "recipe's weight %"))


def _billions(tokens: Fraction) -> str:
    return f"{float(tokens) / 1e9:,.1f}B" if tokens >= 10**8 else f"{int(tokens):,}"


def _as_json(recipe: Recipe, made: Plan) -> dict[str, Any]:
    """Returns the plan as a dict for JSON. It contains the figures of the table."""
    limits = by_part(recipe).max_epochs
    return {
        "recipe": made.recipe,
        "tokens": made.tokens,
        "asked_tokens": made.asked_tokens or None,
        "limited_by": made.limited_by or None,
        "sources": {
            s.source: {
                "weight": float(s.weight), "share": float(made.share(s.source)), "tokens": s.tokens,
                "available_tokens": s.available_tokens, "available_documents": s.available_documents,
                "epochs": float(s.epochs), "max_epochs": float(limits[s.source]),
            }
            for s in made.sources
        },
    }  # fmt: skip


def _tokens(text: str) -> int:
    try:
        return tokens_flag(text)
    except argparse.ArgumentTypeError as error:
        raise ValueError(f"--tokens: {error}") from None


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command's flags."""
    parser = argparse.ArgumentParser(
        prog=name_of("mixtures.plan"),
        description="Prints the mixture table: tokens there are, tokens wanted, share, epochs. Without --stats: "
        "what each source must hold for the recipe's weights and the paper's epochs. With --epochs: the weights that "
        "follow.",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="a recipe's YAML file or name (default: the recipe of the run in --stats, else llama)",
    )
    parser.add_argument("--stats", metavar="DIR", help="a run's output, or its stats folder of SOURCE.json")
    parser.add_argument(
        "--tokens",
        metavar="N",
        help="length of the stream in tokens, such as 100M (default: the longest that fits, at most the recipe's)",
    )
    parser.add_argument(
        "--continue-from",
        metavar="DIR",
        help="with --stats: the output of a mixture that this one continues; its stages' tokens count as used",
    )
    parser.add_argument(
        "--epochs",
        metavar="SOURCE=X",
        nargs="+",
        help="times a source or part is seen (default: 1 for those not named)",
    )
    parser.add_argument("--json", dest="as_json", action="store_true", help="with --stats: print the plan as JSON")
    return parser


if __name__ == "__main__":
    raise SystemExit(as_command(main))
