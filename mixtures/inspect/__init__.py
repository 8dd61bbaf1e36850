"""Reading decoded documents of shards."""
