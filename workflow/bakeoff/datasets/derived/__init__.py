"""Data sets made from a prepared one and from masks, the true or predicted ones."""
