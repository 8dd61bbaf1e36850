"""The command ``python -m pipeline.run``. It parses the arguments, starts the work, and reports errors."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from tokenizer.interrupts import as_command

MAX_LINE_CHARS = 900
"""Longer messages are truncated, because they can quote a wrong value as long as a file."""
DONE, FAILED, WRONG_REQUEST = 0, 1, 2
INTERRUPTED_LINE = "interrupted: run the same command again to resume"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns its exit status: 0 if it succeeded, 1 if the run failed, 2 if the request was wrong.

    An error is printed to stderr in one line that says what is wrong and what to do. A command that is interrupted ends
    with status 130 (Ctrl-C) or 143 (SIGTERM), see :mod:`tokenizer.interrupts`.
    """
    # Imported here, because importing takes seconds, and an interrupt must end the command in this time too.
    from mixtures.plan.shares import PlanError
    from pipeline.explain import explain
    from pipeline.failures import JobFailed, RunFailed
    from pipeline.phases import estimate_run, run
    from pipeline.preflight.job_server import Faults
    from pipeline.settings.settings import parse

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        settings = parse(sys.argv[1:] if argv is None else argv)
        if settings.explain is not None:
            print(explain(settings.explain))
        elif settings.estimate:
            estimate_run(settings)
        else:
            run(settings)
    except PlanError as error:
        print(f"error: the mixture cannot be made\n{error}", file=sys.stderr)
        return WRONG_REQUEST
    except Faults as error:
        for fault in error.faults:
            print(f"error: {fault}", file=sys.stderr)
        return WRONG_REQUEST
    except ValueError as error:
        if type(error) is not ValueError:
            raise  # a library raised it about data that we gave it: a bug of ours, not a wrong request
        is_table = isinstance(error.__cause__, PlanError)
        print(f"error: {error if is_table else one_line(error)}", file=sys.stderr)
        return WRONG_REQUEST
    except (RunFailed, JobFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    return DONE


def one_line(error: object) -> str:
    """Returns a message as one line of limited length.

    >>> one_line("a\\n  b")
    'a b'
    """
    line = " ".join(str(error).split())
    return line if len(line) <= MAX_LINE_CHARS else line[:MAX_LINE_CHARS] + "..."


if __name__ == "__main__":
    sys.exit(as_command(main, line=INTERRUPTED_LINE))
