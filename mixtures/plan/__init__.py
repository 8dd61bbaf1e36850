"""From weights and token counts to what each source contributes: ``python -m mixtures.plan``.

    recipe, available tokens -> deal: tokens per source -> shares: whole epochs and the rest -> table

- ``deal``: divides the tokens of the stream among the sources, exact to the token.
- ``shares``: the plan of a mixture and of one source in it.
- ``table``: prints a plan.

>>> from decimal import Decimal
>>> from mixtures.plan.deal import deal
>>> deal(10, {"books": Decimal(67), "arxiv": Decimal(33)})
{'books': 7, 'arxiv': 3}
"""
