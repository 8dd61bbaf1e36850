#!/bin/sh
# The boot program for --environment_type=PROCESS: --environment_config='{"command": "/path/to/cluster/boot.sh"}'.
# It must have this path on every host. PYTHON names the Python that has this package; the default is the one beside the
# project, .venv/bin/python, else python3.
here=$(cd "$(dirname "$0")/.." && pwd)
[ -n "$PYTHON" ] || { PYTHON=$here/.venv/bin/python; [ -x "$PYTHON" ] || PYTHON=python3; }
# -P: the engine starts this in a folder of its own, from which nothing must be imported.
exec "$PYTHON" -P -m pipeline.engine.boot "$@"
