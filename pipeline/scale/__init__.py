"""Estimates what the mixture of LLaMA's paper costs, without making it: ``python -m pipeline.scale``.

    sizes of the sources, speeds, prices -> CPU hours, shuffled bytes, memory, dollars

- ``__main__``: the command. ``prices``: the prices, which the command's flags can change.
- ``costs``: computes the table of costs, and contains the sizes from which it is computed.
- ``rates``: the measured speeds, from ``rates.json``.
- ``skew``: simulates a shuffle, which sends keys to buckets. Computes how much larger the largest bucket is than the
  average.

>>> from pipeline.scale.skew import skew
>>> skew("even", num_keys=1000, num_buckets=4, exponent=1.0, most=10.0, cap=10.0).ratio >= 1
True
"""
