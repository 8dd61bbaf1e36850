"""``python -m pipeline.scale``: what a run of a given length costs."""
