"""Makes Beam run jobs in a notebook in the same way as in a script.

In IPython, Beam treats every pipeline as an interactive one. It then imports packages that this project does not need
(pandas, IPython's widgets), and puts the number of the cell before the names of transforms.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from apache_beam import pipeline
from apache_beam.utils import interactive_utils

_ASKED = "is_in_ipython"


def _never() -> bool:
    return False


@contextlib.contextmanager
def as_in_a_script() -> Iterator[None]:
    """Inside the ``with`` block, makes Beam behave as if it did not run in IPython. Outside of IPython, does
    nothing.
    """
    if "IPython" not in sys.modules:
        yield
        return
    modules = [interactive_utils, pipeline, sys.modules.get("apache_beam.runners.direct.direct_runner")]
    before = [(module, getattr(module, _ASKED)) for module in modules if hasattr(module, _ASKED)]
    for module, _ in before:
        setattr(module, _ASKED, _never)
    try:
        yield
    finally:
        for module, function in before:
            setattr(module, _ASKED, function)
