"""The output folder: its paths, markers and lock."""
