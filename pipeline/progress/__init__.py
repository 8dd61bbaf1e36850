"""What a person sees while a run works and when it ends."""
