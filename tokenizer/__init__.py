"""The tokenizer: training one as LLaMA's was, and encoding text to ids fast and exactly. No Beam, no pipeline."""
