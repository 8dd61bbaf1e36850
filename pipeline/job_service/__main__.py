"""Runs the command ``python -m pipeline.job_service``. It has two subcommands: serve and pool."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tokenizer.interrupts import as_command
from tokenizer.program import name_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command until it is interrupted."""
    flags = build_parser().parse_args(arguments)
    from pipeline.job_service.service import pool, serve  # imports Beam, which takes seconds

    if flags.command == "pool":
        pool(port=flags.port)
    else:
        serve(port=flags.port, pool_port=flags.pool_port, pools=flags.pools.split(","),
              num_workers=flags.num_workers, start_seconds=flags.start_seconds)  # fmt: skip
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command's flags."""
    parser = argparse.ArgumentParser(
        prog=name_of("pipeline.job_service"),
        description="Runs Beam jobs on a few hosts without a cluster: a job service on one host, and a pool of workers "
        "on each.",
    )
    commands = parser.add_subparsers(required=True, dest="command", metavar="serve|pool")
    service = commands.add_parser("serve", help="the job service, on one host")
    service.add_argument("--port", type=int, default=8099, help="for jobs (default: 8099)")
    service.add_argument("--pool_port", type=int, default=50001, help="for --environment_config (default: 50001)")
    service.add_argument("--pools", required=True, help="addresses of the worker pools, HOST:PORT with commas between")
    service.add_argument("--num_workers", type=int, required=True, help="worker processes, over all hosts")
    service.add_argument("--start_seconds", type=float, default=600.0,
                         help="in which a worker must call, or it counts as lost (default: 600)")  # fmt: skip
    workers = commands.add_parser("pool", help="a worker pool, on every host that works")
    workers.add_argument("--port", type=int, default=50000, help="where it listens (default: 50000)")
    return parser


if __name__ == "__main__":
    sys.exit(as_command(main))
