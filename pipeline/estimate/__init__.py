"""Estimates the output and the cost of a run from a small part of each input: ``python -m pipeline.run --estimate``.

    units, spread over the input -> sample: read, filter -> scaled up by bytes, with an error -> table: mixture, needs

- ``read_unit``: reads the beginning of a unit, and counts the documents that the filters keep.
- ``sample``: estimates the documents, the tokens and the CPU time of one source, with the standard error. If the source
  is divided into parts, also estimates each part.
- ``tokens``: counts the tokens of texts with the run's tokenizer. If there is no tokenizer yet, estimates the number of
  tokens.
- ``units``: writes sizes and times as text, such as ``4.5 TB``.
- ``table``: prints the estimates, the resulting mixture, and the resources that the run needs, as text or as JSON.

The error is computed from the differences between units. Here both units have 0.5 bytes of text per stored byte, so the
error is 0:

>>> from pipeline.estimate.sample import relative_error
>>> relative_error([(10, 0.5), (10, 0.5)], 0.3)
0.0
"""
