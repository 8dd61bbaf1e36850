"""Estimates the output and the cost of a run from a small part of each input: ``python -m pipeline.run --estimate``.

    units, spread over the input -> sample: read, filter -> scaled up by bytes, with an error -> table: mixture, needs

- ``read_unit``: reads the beginning of a unit, and counts the documents that the filters keep.
- ``sample``: estimates the documents, the tokens and the CPU time of one source, with the standard error. If the source
  is divided into parts, also estimates each part.
- ``tokens``: counts the tokens of texts with the run's tokenizer. If there is no tokenizer yet, estimates the number.
- ``units``: writes sizes and times with fitting units.
- ``table``: prints the estimates, the resulting mixture, and the resources that the run needs, as text or as JSON.

Two units with the same density of text (0.5 bytes per stored byte) give no error:

>>> from pipeline.estimate.sample import relative_error
>>> relative_error([(10, 0.5), (10, 0.5)], 0.3)
0.0
"""
