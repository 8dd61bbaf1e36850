"""Phase 1: raw files become ``clean/``, ``dropped/`` and ``stats/``."""
