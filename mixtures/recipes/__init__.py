"""Contains the recipes that ship with the package: ``llama`` (the paper's), ``modern``, ``ccnet`` and ``sample``.

    NAME.yaml -> mixtures.recipe.load_recipe(NAME) -> Recipe

>>> from mixtures.recipe import load_recipe
>>> sorted(load_recipe("sample").weights)[:2]
['arxiv', 'books']
"""
