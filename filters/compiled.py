"""Compiles the few loops over characters or numbers that numpy cannot express in one pass. Numba compiles them.

A kernel is an ordinary Python function over numpy arrays. It is compiled when it is first called, so a process that
calls no kernel does not load the compiler. Numba stores the machine code beside the source file or, if that folder
cannot be written, in the user's cache folder. If neither can be written, every process compiles its kernels itself,
which takes one to three seconds per kernel.

Three rules keep a kernel's results equal on all machines, and equal to those of its Python function:

- It uses integers, or floats in a fixed order. Nothing lets the compiler reorder sums.
- It uses only names of its own file, because stored machine code is found by the content of that file. It can call
  other kernels of that file.
- It is called with arrays whose sizes the caller has checked. Machine code does not check indexes.

>>> import numpy as np
>>> @kernel
... def total(values):
...     result = 0
...     for value in values:
...         result += value
...     return result
>>> total.python(np.arange(4))
np.int64(6)
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any, Generic, ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Kernel(Generic[_P, _R]):
    """Wraps a function that Numba compiles on the first call."""

    def __init__(self, function: Callable[_P, _R]) -> None:
        self.python = function
        """The function as it was written. Tests compare its results with those of the machine code."""
        self._compiled: Callable[_P, _R] | None = None
        functools.update_wrapper(self, function)

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        return (self._compiled or self.compiled())(*args, **kwargs)

    def compiled(self) -> Callable[_P, _R]:
        """Returns Numba's form of the function. Numba compiles it when it is first called."""
        if self._compiled is None:
            self._compiled = _compile(self.python)
        return self._compiled

    def __reduce__(self) -> str:
        """Pickles the kernel as the name of its module's attribute, like a function."""
        name: str = self.python.__qualname__
        return name


def kernel(function: Callable[_P, _R]) -> Kernel[_P, _R]:
    """Makes a function a kernel, that is, compiles it when it is first called."""
    return Kernel(function)


def _compile(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Returns the compiled function. Takes stored machine code if there is any for this source file.

    Numba recognises stored code by the size and the time of the source file. Both can be equal for two versions of an
    installed package, so a hash of the file's content becomes part of the name.
    """
    import numba

    digest = hashlib.sha256(Path(function.__code__.co_filename).read_bytes()).hexdigest()[:16]
    named: Any = _with_compiled_helpers(function)
    named.__qualname__ = f"{function.__qualname__}_{digest}"
    try:
        compiled: Callable[_P, _R] = numba.njit(nogil=True, cache=True)(named)
    except RuntimeError:  # no folder for machine code can be written
        compiled = numba.njit(nogil=True)(named)
    return compiled


def _with_compiled_helpers(function: Callable[_P, _R]) -> FunctionType:
    """Returns a copy of the function. In the copy, the names of other kernels stand for Numba's forms of them."""
    assert isinstance(function, FunctionType)
    values = function.__globals__
    helpers = {name: values[name] for name in function.__code__.co_names if isinstance(values.get(name), Kernel)}
    names = values | {name: helper.compiled() for name, helper in helpers.items()}
    copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
    copy.__module__ = function.__module__
    return copy
