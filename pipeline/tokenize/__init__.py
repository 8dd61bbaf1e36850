"""Phase 2: clean documents become files of token ids."""
