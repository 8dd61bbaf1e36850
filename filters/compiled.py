"""Compiles loops over characters or numbers with Numba. Only the few loops that numpy cannot express in one pass are
compiled.

A kernel is a Python function with numpy arrays as arguments, which is compiled when it is first called. A process that
calls no kernel does not load the compiler. Numba stores the machine code beside the source file or, if that folder
cannot be written, in the user's cache folder. If neither folder can be written, or if a stored file is damaged, every
process compiles its kernels again. This takes one to three seconds per kernel.

If a kernel obeys three rules, its results are the same on all machines, and the same as those of the Python function:

- It computes with integers, or adds floats in a fixed order. No option allows the compiler to reorder sums.
- It uses only names that are defined in its own file, because the stored machine code is looked up by the content of
  that file. It can call other kernels of that file.
- Its caller checks the sizes of all arrays, because machine code does not check indexes.

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
import threading
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any, Generic, ParamSpec, TypeVar

import numpy as np

_P = ParamSpec("_P")
_R = TypeVar("_R")

_one_compiles = threading.RLock()


class Kernel(Generic[_P, _R]):
    """Wraps a function that runs as machine code. Numba compiles the function once for each combination of argument
    types, when the function is first called with arguments of these types."""

    def __init__(self, function: Callable[_P, _R]) -> None:
        self.python = function
        """The Python function that was wrapped. Tests compare its results with those of the machine code."""
        self._digest = _digest_of(function)
        self._compiled: dict[tuple[object, ...], Callable[_P, _R]] = {}
        functools.update_wrapper(self, function)

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        assert not kwargs, "the arguments of a kernel are given by position"
        types = tuple(map(_type_of, args))
        compiled = self._compiled.get(types)
        if compiled is None:
            with _one_compiles:  # another thread may have compiled it meanwhile
                compiled = self._compiled.get(types) or self._compile(types, args)
                self._compiled[types] = compiled
        return compiled(*args)  # type: ignore[call-arg]

    def __reduce__(self) -> str:
        """Pickles the kernel by its name, as functions are pickled."""
        name: str = self.python.__qualname__
        return name

    def helper(self) -> Any:
        """Returns the function in a form that other kernels can call."""
        import numba

        return numba.njit(nogil=True)(_with_helpers(self.python))

    def _compile(self, types: tuple[object, ...], args: tuple[object, ...]) -> Callable[_P, _R]:
        """Returns the function as machine code for arguments of these types. Uses stored machine code, if there is any.

        Numba looks up stored code by the function's name, and by the size and time of the source file. Size and time
        can be equal for two versions of an installed package, so this method adds a digest of the file to the name. If
        the file was replaced after this process had imported it, stored code is neither used nor written. The types are
        also added to the name. Otherwise two processes that store code for different types could overwrite each other's
        files.
        """
        import numba

        numba_types = tuple(map(numba.typeof, args))
        if self._digest and self._digest == _digest_of(self.python):
            function = _with_helpers(self.python)
            of_types = hashlib.sha256(repr(types).encode()).hexdigest()[:8]
            function.__qualname__ = f"{self.python.__qualname__}_{self._digest}_{of_types}"
            try:
                stored: Any = numba.njit(nogil=True, cache=True)(function)
                stored.compile(numba_types)
            except Exception:
                pass  # no folder, a full disk, a damaged file; an error of the kernel comes again below
            else:
                return stored  # type: ignore[no-any-return]
        compiled: Any = numba.njit(nogil=True)(_with_helpers(self.python))
        compiled.compile(numba_types)
        return compiled  # type: ignore[no-any-return]


def kernel(function: Callable[_P, _R]) -> Kernel[_P, _R]:
    """Turns a function into a kernel, which is compiled when it is first called."""
    return Kernel(function)


def _type_of(value: object) -> object:
    """Returns a key for the type of an argument. Arguments with equal keys have the same type in Numba. So the fields
    of a named tuple must have the same types in all objects of its class."""
    if isinstance(value, np.ndarray):
        flags = value.flags
        return value.dtype.str, value.ndim, flags.c_contiguous, flags.writeable, flags.aligned
    return type(value).__name__


def _digest_of(function: Callable[..., object]) -> str:
    """Returns a digest of a function's source file and of the constants that the function uses. The digest is empty if
    the file cannot be read."""
    assert isinstance(function, FunctionType)
    try:
        content = Path(function.__code__.co_filename).read_bytes()
    except OSError:
        return ""
    names = sorted({*function.__code__.co_names} & {*function.__globals__})
    constants = [
        (name, function.__globals__[name]) for name in names if isinstance(function.__globals__[name], int | float)
    ]
    return hashlib.sha256(content + repr(constants).encode()).hexdigest()[:16]


def _with_helpers(function: Callable[..., object]) -> FunctionType:
    """Returns a copy of the function that can be compiled. In the copy, the names of other kernels refer to forms of
    these kernels that Numba can call."""
    assert isinstance(function, FunctionType)
    values = function.__globals__
    helpers = {name: values[name] for name in function.__code__.co_names if isinstance(values.get(name), Kernel)}
    assert function.__name__ not in helpers, f"{function.__name__}: a kernel cannot call itself"
    names = values | {name: helper.helper() for name, helper in helpers.items()}
    copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
    copy.__module__ = function.__module__
    copy.__qualname__ = function.__qualname__
    return copy
