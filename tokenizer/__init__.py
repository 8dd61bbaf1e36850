"""Encodes text to the same ids as a tokenizer's reference library (such as SentencePiece), but faster. Imports neither
Beam nor the pipeline.

    .model -> sentence_piece -> fast_bpe -> id_cache, merges -> ids (or audited -> accelerator)
    tokenizer.json -> json_file -> tokenizers, or accelerator -> ids
    .tiktoken -> rank_file -> tiktoken, or accelerator -> ids

- ``encode``: encodes and decodes batches of texts with any kind of tokenizer file; puts bos and eos around documents.
- ``encoder_settings``: holds the settings of bos and eos, and the settings that a rank file does not contain.
- ``codec``: defines the interface to all kinds of tokenizer files.
- ``sentence_piece``: encodes and decodes with SentencePiece's ``.model``.
- ``json_file``: encodes and decodes with Hugging Face's ``tokenizer.json``.
- ``rank_file``: encodes and decodes with tiktoken's rank files.
- ``accelerator``: runs gigatoken, if it is installed.
- ``audited``: runs gigatoken for a ``.model``, and compares some of its ids.
- ``proof``: compares an encoder with its reference library.
- ``fast_bpe``: splits texts into parts (words, for example), and encodes every distinct part once.
- ``id_cache``: remembers the ids of short parts, in numpy.
- ``merges``: runs byte-pair encoding on many parts at once, in numpy.
- ``decode``: converts ids to texts, by joining the bytes of each id.
- ``model_file``: reads a ``.model`` without protobuf.
- ``hugging_face``: converts a ``.model`` to a ``tokenizer.json``.
- ``program``: returns the name under which a command was called.
- ``did_you_mean``: suggests the name that a user may have meant.
- ``numbers``: reads numbers such as 100M in flags and settings.
- ``os_errors``: says what the operating system refused, such as a write to a full disk.
- ``progress``: reports the progress of a long training.
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
