"""Answers about images that the pipeline has not seen."""
