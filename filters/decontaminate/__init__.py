"""Finds the items of evaluation sets in documents: pure matching against an index that is built before.

    items of sets -> build -> Index (arrays)
    texts -> words -> match (seeds, alignments, scores) -> step: drop, cut or mark, and the evidence

- ``words``: texts as normalised words, in numpy.
- ``common_words``: words that weigh little, because every text has them.
- ``items``: an item, a set, its rules, and what counts as an answer.
- ``index``: the arrays of an index, and the hash table of its seeds.
- ``build``: makes the index of sets.
- ``match``: the rules by which an item is found.
- ``cut``: cuts spans out of a text, at the borders of paragraphs.
- ``step``: the step of the clean phase, and the table of evidence.

Files of sets and of indexes are read by ``mixtures.decontaminate``.

>>> from filters.decontaminate.build import build_index
>>> from filters.decontaminate.items import EvalSet, Item, SetRules
>>> from filters.decontaminate.match import find
>>> item = Item(id="1", question="How many bolts of blue fiber does a robe of this width take in total?", answer="3")
>>> index = build_index([EvalSet(SetRules(name="mine"), [item])])
>>> [hit.score for hit in find(index, ["HOW MANY BOLTS of blue fiber\\ndoes a robe of this width take, in total?"])]
[1.0]
"""
