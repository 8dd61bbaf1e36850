"""The tokenizer: text to ids, exactly as SentencePiece does it and several times faster. No Beam, no pipeline.

    .model -> model_file -> encode: Encoder -> fast_bpe -> id_cache, merges -> ids

- ``encode``: encodes and decodes batches of texts.
- ``fast_bpe``: encodes every distinct part of a text once.
- ``id_cache``: maps short parts to their ids, in numpy.
- ``merges``: merges byte pairs of many parts at once, in numpy.
- ``decode``: joins the pieces of ids to texts.
- ``model_file``: reads a ``.model`` without protobuf.
- ``hugging_face``: the same model as a ``tokenizer.json``.
- ``interrupts``: ends a command cleanly on a signal.
- ``train``: trains a model (``python -m tokenizer.train``).

>>> from tokenizer.encode import Encoder
>>> from tokenizer.train.training import TrainSettings, train
>>> settings = TrainSettings(vocab_size=300, lower_vocab_size=True)
>>> encoder = Encoder.load(train(["the tide rises and the tide falls"] * 50, None, settings).model)
>>> ids = encoder.encode_batch(["the tide"])[0].as_py()
>>> encoder.decode(ids)
'the tide'
"""
