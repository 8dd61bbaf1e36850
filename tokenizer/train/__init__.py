"""Training a SentencePiece tokenizer."""
