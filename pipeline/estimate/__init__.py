"""Estimates what a run would make and cost, from a small part of each input: ``python -m pipeline.run --estimate``.

    units, spread over the input -> sample: read, filter -> scaled up by bytes, with an error -> table: mixture, needs

- ``sample``: documents, tokens, CPU time and the error of one source.
- ``tokens``: counts the tokens of texts with the run's tokenizer, or by the size of the vocabulary that it will have.
- ``table``: prints the estimates, the mixture that follows, and what the run needs; or returns them as JSON.

>>> from pipeline.estimate.sample import relative_error
>>> relative_error([(10, 0.5), (10, 0.5)], 0.3)
0.0
"""
