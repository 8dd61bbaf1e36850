"""Estimates the output and the cost of a run from a small part of each input: ``python -m pipeline.run --estimate``.

    units, spread over the input -> sample: read, filter -> scaled up by bytes, with an error -> table: mixture, needs

- ``read_unit``: reads a part of a unit, and counts what the filters keep, also by part of a divided source.
- ``sample``: documents, tokens, CPU time and the error of one source, and of its parts.
- ``tokens``: counts the tokens of texts with the run's tokenizer. If there is no tokenizer yet, estimates the number.
- ``table``: prints the estimates, the resulting mixture, and the resources that the run needs, as text or as JSON.

>>> from pipeline.estimate.sample import relative_error
>>> relative_error([(10, 0.5), (10, 0.5)], 0.3)
0.0
"""
