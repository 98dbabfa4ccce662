"""Bakeoff: which image-analysis method should I use, and can I trust the answer?"""

__version__ = "0.1.0"
