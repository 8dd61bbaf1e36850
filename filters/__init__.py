"""What is true of a text: pure functions of columns, no Beam, no files, no clock, no randomness."""
