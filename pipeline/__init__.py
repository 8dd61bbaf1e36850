"""How documents flow. Apache Beam lives in this package and nowhere else."""
