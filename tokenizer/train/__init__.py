"""Trains a tokenizer: SentencePiece's BPE with the settings of LLaMA's released model.

    texts by source -> sample: a weighted sample of limited size -> training -> tokenizer.model

- ``training``: contains the settings, and runs the training.
- ``sample``: chooses the texts, and splits them into lines that SentencePiece accepts.
- ``python -m tokenizer.train`` trains a model on files.

>>> from tokenizer.train.training import TrainSettings
>>> TrainSettings().vocab_size
32000
"""
