"""Files anywhere: local, over HTTP, in object stores; and spill files."""
