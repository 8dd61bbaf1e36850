"""Runs the command ``python -m pipeline.models``. Its subcommands are list, fetch, fetch-evals, train-lm, cutoffs and
train-reference.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.files.store_files import StoreError
from pipeline.models.evals import EVALS, fetch_evals
from pipeline.models.fetch import FetchError, Published, fetch, published
from pipeline.models.scratch import TrainingFailed
from tokenizer.interrupts import as_command
from tokenizer.numbers import count_flag
from tokenizer.os_errors import described, status_of
from tokenizer.program import name_of
from tokenizer.progress import Progress

if TYPE_CHECKING:
    from pipeline.models.train_reference import TrainedReference
    from pipeline.models.training_texts import Text


def main(arguments: list[str] | None = None) -> int:
    """Runs one subcommand. Returns the exit status: 0 if it succeeded, 1 if it failed, 2 if the request was wrong.

    An error is printed on stderr in one line that says what to do.
    """
    flags, beam_args = build_parser().parse_known_args(sys.argv[1:] if arguments is None else arguments)
    flags.beam_args = tuple(beam_args)
    folder: str = getattr(flags, "models", os.curdir)
    is_new = not os.path.lexists(folder)
    try:
        if beam_args and flags.command is not _train_reference:
            raise ValueError(f"{beam_args[0]} is not known here")
        status: int = flags.command(flags)
    except (FetchError, StoreError, TrainingFailed) as error:
        print(f"pipeline.models: {error}", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"pipeline.models: {error}", file=sys.stderr)
        if is_new and os.path.isdir(folder) and not os.listdir(folder):
            os.rmdir(folder)  # a request that was refused leaves nothing
        return 2
    except OSError as error:
        print(f"pipeline.models: {described(error, folder)}", file=sys.stderr)
        return status_of(error)
    return status


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command's flags."""
    parser = argparse.ArgumentParser(prog=name_of("pipeline.models"), description="Gets or trains models.")
    names = "list|fetch|fetch-evals|train-lm|cutoffs|train-reference"
    commands = parser.add_subparsers(required=True, metavar=names)

    there = commands.add_parser("list", help="list the models that are there, and the missing ones")
    there.set_defaults(command=_list)

    get = commands.add_parser("fetch", help="get the published models")
    get.add_argument("what", nargs="*", default=["all"], help="lid, lid-small, lm, bad-words or all (the default)")
    get.add_argument("--languages", default="en", help="of lm and bad-words, with commas between (default: en)")
    get.add_argument(
        "--mirror", metavar="URL", help="where the files lie under their own names, instead of their addresses"
    )
    get.set_defaults(command=_fetch)
    _add_fetch_evals(commands)

    lm = commands.add_parser("train-lm", help="train a language's SentencePiece model and 5-gram")
    lm.add_argument("--language", required=True, help="its code: the files' names begin with it")
    lm.add_argument("--lmplz", metavar="PROGRAM", help="KenLM's lmplz, where it is not on PATH")
    lm.add_argument("--vocab_size", type=count_flag, help="pieces (default: CCNet's 65536)")
    lm.set_defaults(command=_train_lm)

    table = commands.add_parser("cutoffs", help="compute a language's column of cutoff.csv from a corpus")
    table.add_argument("--language", required=True, help="its code; needs its models in --models")
    table.set_defaults(command=_cutoffs)

    reference = commands.add_parser("train-reference", help="train the classifier of references")
    reference.add_argument("--wikipedia", action="append", metavar="GLOB", help="XML dumps, whose cited addresses are")
    reference.add_argument(
        "--pages", action="append", metavar="GLOB",
        help="looked for among these pages: clean documents (.parquet), WET or WARC files, wet.paths.gz[@PREFIX]",
    )  # fmt: skip
    for side, what in (("positives", "pages that Wikipedia cites"), ("negatives", "random pages")):
        reference.add_argument(f"--{side}", action="append", metavar="GLOB", help=f"instead of both: {what}")
    reference.add_argument(
        "--language", default="en", help="of raw pages, with commas between (default: en; empty: all)"
    )
    reference.add_argument("--max_pages", type=count_flag, default=300_000, help="of each kind (default: 300000)")
    reference.add_argument("--work", metavar="DIR", help="where the pages found are written (default: below --models)")
    reference.add_argument("--threads", type=int, default=1, help="more than one trains to other bytes each time")
    reference.add_argument("--seed", type=int, default=0)
    reference.set_defaults(command=_train_reference)

    for command in (there, get, lm, table, reference):
        command.add_argument("--models", required=True, metavar="DIR", help="the folder of models")
    for command in (there, lm, table, reference):
        command.add_argument("--json", dest="as_json", action="store_true", help="print what was found or made as JSON")
    for command in (lm, table):
        command.add_argument(
            "--input",
            action="append",
            required=True,
            metavar="GLOB",
            help="texts: .txt, .jsonl, .parquet, or a folder of them",
        )
    return parser


def _add_fetch_evals(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    evals = commands.add_parser(
        "fetch-evals", help="get published evaluation sets, for decontamination",
        description="Gets evaluation sets from their publishers, and writes DIR/sets.yaml, which names their columns. "
        "A configuration uses it so: decontamination: {sets: DIR/sets.yaml}",
    )  # fmt: skip
    evals.add_argument("what", nargs="*", metavar="SET", default=["all"], help=f"{', '.join(EVALS)}, or all (default)")
    evals.add_argument("--evals", required=True, metavar="DIR", help="the folder of evaluation sets")
    evals.add_argument("--mirror", metavar="URL", help="where the files lie as SET/FILE, instead of their addresses")
    evals.set_defaults(command=_fetch_evals)


def _fetch_evals(flags: argparse.Namespace) -> int:
    path = fetch_evals(flags.what or ["all"], Path(flags.evals), flags.mirror)
    print(f"wrote {path}; in the configuration: decontamination: {{sets: {path}}}")
    return 0


def _check_language(flags: argparse.Namespace) -> None:
    """Checks the flag ``--language``. If the folder has a language model of the user, the names are those of its
    labels, and nothing is checked."""
    from pipeline.settings.languages import check_codes

    if not any(os.path.exists(os.path.join(flags.models, f"language.{ending}")) for ending in ("bin", "ftz")):
        check_codes("--language", [flags.language])


def _fetch(flags: argparse.Namespace) -> int:
    from pipeline.settings.languages import check_codes

    languages = tuple(language.strip() for language in flags.languages.split(",") if language.strip())
    check_codes("--languages", languages)
    wanted = {file.name: file for what in flags.what or ["all"] for file in published(what, languages)}
    failures = []
    for file in wanted.values():
        if flags.mirror:
            file = Published(file.name, flags.mirror.rstrip("/") + "/" + file.name, file.sha256)
        try:
            fetch(file, Path(flags.models))
        except FetchError as error:
            failures.append(str(error))
    if failures:
        raise FetchError("; ".join(failures))
    return 0


def _list(flags: argparse.Namespace) -> int:
    from pipeline.models.listing import lines_of, listed

    values = listed(flags.models)
    print(json.dumps(values, indent=2) if flags.as_json else "\n".join(lines_of(values)))
    return 0


def _train_lm(flags: argparse.Namespace) -> int:
    from pipeline.models.train_perplexity import HOW_TO_GET_LMPLZ, VOCAB_SIZE, find_program, train_language_model
    from pipeline.models.trained import doubts_of
    from pipeline.models.training_texts import expand_globs, read_texts

    _check_language(flags)
    lmplz = find_program("lmplz", flags.lmplz)
    if lmplz is None:
        raise ValueError(f"train-lm: {flags.lmplz or 'lmplz'} is not there. {HOW_TO_GET_LMPLZ}")
    texts = read_texts(expand_globs(flags.input))
    made = train_language_model(
        texts,
        language=flags.language,
        folder=Path(flags.models),
        lmplz=lmplz,
        vocab_size=flags.vocab_size or VOCAB_SIZE,
        progress=Progress("train-lm"),
    )
    found = doubts_of(made)
    if flags.as_json:
        print(json.dumps({"written": [str(path) for path in made], "doubts": found}))
        return 0
    print("wrote " + ", ".join(map(str, made)))
    for doubt in found:
        print(f"warning: {doubt}")
    cutoffs = f"cutoffs --models {flags.models} --language {flags.language} --input GLOB"
    print(f"now its cut-offs: python -m pipeline.models {cutoffs}")
    return 0


def _cutoffs(flags: argparse.Namespace) -> int:
    from pipeline.models.load import load_scorer
    from pipeline.models.train_perplexity import cutoff_table, write_cutoffs
    from pipeline.models.trained import doubts
    from pipeline.models.training_texts import expand_globs, num_bytes_of, read_texts

    _check_language(flags)
    model = load_scorer(flags.models, flags.language)
    texts = Progress("cutoffs").reading(read_texts(expand_globs(flags.input)), num_bytes_of)
    column, num_docs = cutoff_table(texts, flags.language, model)
    path = Path(flags.models) / "cutoff.csv"
    write_cutoffs(path, flags.language, column, num_docs)
    found = doubts([{"name": path.name, "language": flags.language, "documents": num_docs}])
    if flags.as_json:
        print(json.dumps({"written": [str(path)], "language": flags.language, "head_below": column[30],
                          "middle_below": column[60], "documents": num_docs, "doubts": found}))  # fmt: skip
        return 0
    print(
        f"{path}: {flags.language}: head below {column[30]:g}, middle below {column[60]:g}, from {num_docs:,} documents"
    )
    for doubt in found:
        print(f"warning: {doubt}")
    return 0


def _train_from_joined(flags: argparse.Namespace) -> TrainedReference:
    from pipeline.models.cited_pages import Asked, find_pages, forget
    from pipeline.models.find import find_models
    from pipeline.models.train_reference import train_reference

    Path(flags.models).mkdir(parents=True, exist_ok=True)
    # This is a separate folder below the given one, because it is deleted at the end.
    work_dir = (flags.work or os.path.abspath(flags.models)).rstrip("/") + "/.reference-pages"
    asked = Asked(
        wikipedia=flags.wikipedia,
        pages=flags.pages,
        work_dir=work_dir,
        languages=tuple(one.strip() for one in flags.language.split(",") if one.strip()),
        language_model=find_models(flags.models).get("language"),
        max_pages=flags.max_pages,
        seed=flags.seed,
        beam_args=flags.beam_args,
    )
    forget(work_dir)
    progress = Progress("train-reference")
    try:
        with progress.working("finding pages that Wikipedia cites"):
            found = find_pages(asked)
        return train_reference(
            found.positives(), found.negatives(), Path(flags.models), num_threads=flags.threads, seed=flags.seed,
            progress=progress,
        )  # fmt: skip
    finally:
        forget(work_dir)


def _train_reference(flags: argparse.Namespace) -> int:
    from pipeline.models.train_reference import train_reference
    from pipeline.models.trained import MIN_POSITIVES
    from pipeline.models.training_texts import expand_globs, read_texts

    is_joined, is_given = bool(flags.wikipedia and flags.pages), bool(flags.positives and flags.negatives)
    if is_joined == is_given or (is_given and (flags.wikipedia or flags.pages or flags.beam_args)):
        raise ValueError("train-reference: give --wikipedia and --pages, or --positives and --negatives")
    if is_given:
        positives: Iterable[Text] = read_texts(expand_globs(flags.positives))
        negatives: Iterable[Text] = read_texts(expand_globs(flags.negatives))
        trained = train_reference(positives, negatives, Path(flags.models), num_threads=flags.threads, seed=flags.seed,
                                  progress=Progress("train-reference"))  # fmt: skip
    else:
        trained = _train_from_joined(flags)
    if flags.as_json:
        print(json.dumps({"written": [str(trained.path)], "trained_on": trained.num_train,
                          "held_out": trained.num_held_out, "is_meaningful": trained.is_meaningful,
                          "at": [{"threshold": one.threshold, "precision": one.precision, "recall": one.recall}
                                 for one in trained.figures]}))  # fmt: skip
        return 0
    for what, counts in (("trained on", trained.num_train), ("held back (other hosts)", trained.num_held_out)):
        print(
            f"{what}: " + ", ".join(f"{number:,} {label.removeprefix('__label__')}" for label, number in counts.items())
        )
    for figures in trained.figures:
        precision = "none let through" if figures.precision is None else f"precision {figures.precision:.3f}"
        recall = "no recall" if figures.recall is None else f"recall {figures.recall:.3f}"
        print(f"at {figures.threshold}: {precision}, {recall}")
    if not trained.is_meaningful:
        print(f"fewer than {MIN_POSITIVES:,} positives: these figures mean nothing, and nor does the classifier")
    print(f"wrote {os.fspath(trained.path)}")
    return 0


if __name__ == "__main__":
    sys.exit(as_command(main))
