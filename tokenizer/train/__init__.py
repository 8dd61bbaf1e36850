"""Trains a SentencePiece tokenizer."""
