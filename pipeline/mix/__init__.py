"""Phase 3: token files become weighted, shuffled shards."""
