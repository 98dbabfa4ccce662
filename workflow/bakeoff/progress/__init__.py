"""Progress of a long training, and its interruption."""
