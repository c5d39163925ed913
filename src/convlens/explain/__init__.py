"""Pure functions from a model (and a run) to facts."""
