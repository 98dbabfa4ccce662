"""No pretrained weights: what networks name that start from random values."""
