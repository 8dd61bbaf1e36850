"""A worker process of the local runner: Beam's own, with this package imported first."""

from __future__ import annotations

import sys

from apache_beam.runners.worker import sdk_worker_main

if __name__ == "__main__":
    sdk_worker_main.main(sys.argv)
