"""Saves work that Beam repeats while it builds a graph and starts workers. The results are the same.

A graph of all sources has hundreds of transforms. For each of them Beam parses the command line several times, and
inspects the signatures of all methods of the DoFn several times. On the sample, this was a sixth of the CPU time of a
run.
"""

from __future__ import annotations

from typing import Any, TypeVar

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms import core, userstate

_View = TypeVar("_View", bound=PipelineOptions)


class ParsedOptions(PipelineOptions):  # type: ignore[misc]
    """Options that are parsed once for each kind of options, not once for each use.

    All views of Beam's options share their values, so a view can be used again.

    >>> from apache_beam.options.pipeline_options import DirectOptions
    >>> options = ParsedOptions(["--direct_num_workers=3"])
    >>> options.view_as(DirectOptions).direct_num_workers = 4
    >>> options.view_as(DirectOptions).direct_num_workers, options.get_all_options(drop_default=True)
    (4, {'direct_num_workers': 4})
    """

    def view_as(self, cls: type[_View]) -> _View:
        """Returns the options that ``cls`` defines."""
        views: dict[type[PipelineOptions], Any] = self.__dict__.setdefault("_views", {})
        if cls not in views:
            views[cls] = super().view_as(cls)
        view: _View = views[cls]
        return view

    def __getstate__(self) -> dict[str, Any]:
        """Returns what is pickled or copied: everything but the views, which are made again. If Beam leaves an account
        out of the copy, copied views would not share their values with it.
        """
        return {name: value for name, value in super().__getstate__().items() if name != "_views"}


_specs_of = userstate.get_dofn_specs
_known: dict[type, tuple[set[Any], set[Any]]] = {}


def specs_of(dofn: Any) -> tuple[set[Any], set[Any]]:
    """Returns the states and the timers that a DoFn declares in the parameters of its methods.

    Beam's function of this purpose inspects all methods at each call. Here each class is inspected once. The exceptions
    are objects with a method ``process`` of their own, such as Beam's wrappers of functions. If this method declares
    something, Beam's function is called.
    """
    kind = type(dofn)
    if "process" in vars(dofn):
        _, defaults = core.get_function_arguments(dofn, "process")
        if any(isinstance(value, core._DoFnParam) for value in defaults):
            return _specs_of(dofn)  # type: ignore[no-any-return]
    if kind not in _known:
        _known[kind] = _specs_of(dofn)
    return _known[kind]


def inspect_each_class_once() -> None:
    """Makes Beam use :func:`specs_of` in this process."""
    userstate.get_dofn_specs = specs_of
