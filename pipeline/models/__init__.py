"""Finds and loads the models that steps use. ``python -m pipeline.models`` fetches or trains models.

    --models DIR -> find: paths by key -> load: opened once per process -> step.apply(batch, models)

- ``find``: finds models by the names of their files.
- ``load``: opens models. ``compiled_scorer``: makes the compiled form of a perplexity model.
- ``stored_files``: copies models from an object store to each machine, once.
- ``checksums``: computes checksums once per file. ``fasttext_file``: reads the tables of a fastText model.
- ``fetch``: downloads the published models. ``evals``: the evaluation sets that can be fetched, and their columns.
- ``train_perplexity``: trains a language model as CCNet did. ``training_texts``: reads the texts for training.
- ``trained``: records how much text each model was trained on, and reports models that had too little text.
- ``listing``: lists the models in a folder.
- ``train_reference``: trains the classifier of cited pages.
- ``cited_pages``, ``join_cited_pages``: find the pages to train this classifier on.
- ``matching``: checks that a language's SentencePiece model and KenLM model were trained together.
- ``renaming``: suggests new names for the labels of a language identification model.
- ``model_files``: checks that a model's file is complete. ``scratch``: folders for training.

Without a folder of models, only the model for language identification is found, because it comes with the package:

>>> from pipeline.models.find import find_models
>>> sorted(find_models(None))
['language']
"""
