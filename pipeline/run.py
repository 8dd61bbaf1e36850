"""Runs the command ``python -m pipeline.run``: parses the arguments, starts the work, and reports errors."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.progress.log_file import log_to, note
from pipeline.settings.flags import build_parser, parse_flags
from tokenizer.interrupts import as_command
from tokenizer.os_errors import described, is_of_disk, status_of

if TYPE_CHECKING:
    from pipeline.settings.settings import Settings

__all__ = ["build_parser", "main", "one_line"]

MAX_LINE_CHARS = 900
"""The largest number of characters of a message. Longer messages are truncated. A message can be very long if it quotes
a wrong value, because the value can be as long as a file."""
DONE, FAILED, WRONG_REQUEST = 0, 1, 2
INTERRUPTED_LINE = "interrupted: run the same command again to resume"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns its exit status: 0 if it succeeded, 1 if the run failed, 2 if the request was wrong.

    An error is printed to stderr in one line that says what is wrong and what to do. A command that is interrupted ends
    with status 130 (Ctrl-C) or 143 (SIGTERM), see :mod:`tokenizer.interrupts`.
    """
    # A large import takes seconds. So each check comes before the import that it does not need, and a wrong request is
    # answered at once. An interrupt must end the command during an import too.
    words = sys.argv[1:] if argv is None else argv
    try:
        flags, _ = parse_flags(words)
        log_to(flags.log_file)
        from pipeline.preflight.places import check_places
        from pipeline.settings.request import read_request

        request = read_request(words)
        check_places(request)
        from pipeline.settings.settings import settings_of

        settings = settings_of(request)
    except ValueError as error:
        if type(error) is not ValueError:
            raise  # a library raised it because of data that we gave it, so this is our bug and not a wrong request
        return _refused(error)
    return _run(settings)


def _run(settings: Settings) -> int:
    """Runs what the settings ask for. Returns the exit status of the command."""
    from mixtures.plan.shares import PlanError
    from pipeline.clean.phase import with_decontamination, with_exclusion
    from pipeline.explain import explain
    from pipeline.failures import JobFailed, RunFailed
    from pipeline.files.checked import DamagedFile
    from pipeline.files.store_files import StoreError
    from pipeline.models.find import MissingModels
    from pipeline.phases import estimate_run, run
    from pipeline.preflight.job_server import Faults

    try:
        if settings.explain is not None:
            print(explain(with_decontamination(with_exclusion(settings.explain, settings), settings)))
        elif settings.estimate:
            estimate_run(settings)
        else:
            run(settings)
    except PlanError as error:
        return _refused(f"the mixture cannot be made\n{error}")
    except Faults as error:
        return [_refused(fault) for fault in error.faults][-1]
    except MissingModels as error:
        return [_refused(one) for one in error.missing][-1]
    except ValueError as error:
        if type(error) is not ValueError:
            raise  # a library raised it because of data that we gave it, so this is our bug and not a wrong request
        is_table = isinstance(error.__cause__, PlanError)
        return _refused(str(error) if is_table else error)
    except (RunFailed, JobFailed, DamagedFile, StoreError) as error:
        _say(error)
        return FAILED
    except OSError as error:
        if not (isinstance(error, PermissionError) or is_of_disk(error)):
            raise
        _say(described(error, settings.output))
        return status_of(error)
    return DONE


def _refused(error: object) -> int:
    """Reports a wrong request, and returns its exit status. If ``error`` is an exception, its message is printed on one
    line. If it is a text, it is printed unchanged.
    """
    _say(error if isinstance(error, str) else one_line(error))
    return WRONG_REQUEST


def _say(error: object) -> None:
    print(f"error: {error}", file=sys.stderr)
    note(str(error), level=logging.ERROR)


def one_line(error: object) -> str:
    """Returns the message of an error as one line. A very long message is cut.

    >>> one_line("a\\n  b")
    'a b'
    """
    line = " ".join(str(error).split())
    return line if len(line) <= MAX_LINE_CHARS else line[:MAX_LINE_CHARS] + "..."


if __name__ == "__main__":
    sys.exit(as_command(main, line=INTERRUPTED_LINE))
