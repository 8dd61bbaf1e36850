"""Plans how many tokens each source contributes to a mixture (``python -m mixtures.plan``).

    recipe, available tokens -> deal: tokens per source -> shares: whole epochs and the rest -> table

- ``by_part``: replaces each divided source by its parts.
- ``deal``: divides the tokens of the stream among the sources, exact to the token.
- ``shares``: holds the plan of a mixture, and of each source in it.
- ``table``: formats a plan as a table of text.

>>> from decimal import Decimal
>>> from mixtures.plan.deal import deal
>>> deal(10, {"books": Decimal(67), "arxiv": Decimal(33)})
{'books': 7, 'arxiv': 3}
"""
