"""CCNet's rules: line hashes, length and perplexity."""
