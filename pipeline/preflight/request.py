"""Checks that a run fits into memory, and that its tokenizer and its list of exclusions can be read, before any work
starts.
"""

from __future__ import annotations

from pipeline.clean.prepared_source import PreparedSource
from pipeline.clean.sizing import is_worth_compiling, scale_of
from pipeline.engine.runner import Engine
from pipeline.files.files import read_bytes
from pipeline.preflight.cloud_options import check_machines
from pipeline.preflight.memory import check_local, foresee
from tokenizer.encode import Encoder
from tokenizer.encoder_settings import EncoderSettings


def check_memory(engine: Engine, plans: list[PreparedSource]) -> None:
    """Raises ValueError if a run's workers would not fit into memory. The message has the numbers and says what to
    change.
    """
    sizes = [(p, n) for p in plans for n in [d.listing.num_bytes for d in p.dumps] or [p.listing.num_bytes]]
    is_compiled = any(is_worth_compiling(p.listing.num_bytes, engine.num_workers) for p in plans)
    need = foresee(
        ((p.source, p.model_paths, scale_of(num_bytes), num_bytes) for p, num_bytes in sizes), is_compiled=is_compiled
    )
    if engine.is_local:
        check_local(need, engine.num_workers)
    check_machines(engine, need)


def check_tokenizer(path: str, settings: EncoderSettings) -> None:
    try:
        Encoder.load(read_bytes(path), settings=settings)
    except FileNotFoundError as error:
        raise ValueError(f"--tokenizer {path}: there is no such file") from error
    except ValueError as error:
        raise ValueError(f"--tokenizer {path}: {error}") from error


def check_exclusions(path: str) -> None:
    try:
        read_bytes(path).decode()
    except FileNotFoundError as error:
        raise ValueError(f"--exclude {path}: there is no such file") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"--exclude {path}: not UTF-8 text, at byte {error.start}") from error
