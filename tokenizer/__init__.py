"""The tokenizer: trains one like LLaMA's, and encodes text to ids fast and exactly. Imports neither Beam nor the
pipeline."""
