"""Mixtures: from a recipe's weights to exact tokens, to shards, and to a trainer's batches. No Beam, no pipeline."""
