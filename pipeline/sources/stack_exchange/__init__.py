"""The Stack Exchange source: dumps of questions and answers."""
