"""What the pipeline adds to Beam: the choice of a runner, grouping through files, unit lists."""
