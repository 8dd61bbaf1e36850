"""Weights become tokens and epochs."""
