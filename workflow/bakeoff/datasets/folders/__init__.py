"""Data sets that are prepared from folders of one's own images."""
