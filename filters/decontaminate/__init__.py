"""Finds items of evaluation sets (test questions and answers) in documents. An index of the items is built first.

    items of sets -> build -> Index (arrays)
    texts -> words -> match (seeds, alignments, scores) -> step: drop, cut or mark, and the evidence

- ``words``: splits texts into normalised words, in numpy.
- ``common_words``: lists common words. They have little weight, because nearly every text contains them.
- ``common_hashes``: hashes the common words, single letters and small numbers.
- ``items``: defines evaluation sets, their rules and their items. Determines the answer of an item.
- ``index``: defines an index: its arrays, and the hash tables of its seeds (n-grams by which an item is found).
- ``build``: builds the index of sets.
- ``match``: finds items in documents.
- ``cut``: removes the paragraphs of a text that contain given spans.
- ``step``: defines the step of the clean phase, and its table of evidence.

The module ``mixtures.decontaminate`` reads the files that contain sets or indexes.

>>> from filters.decontaminate.build import build_index
>>> from filters.decontaminate.items import EvalSet, Item, SetRules
>>> from filters.decontaminate.match import find
>>> item = Item(id="1", question="How many bolts of blue fiber does a robe of this width take in total?", answer="3")
>>> index = build_index([EvalSet(SetRules(name="mine"), [item])])
>>> [hit.score for hit in find(index, ["HOW MANY BOLTS of blue fiber\\ndoes a robe of this width take, in total?"])]
[1.0]
"""
