"""Whether scores can be trusted: leakage between splits, predictable labels, and what a leak adds to a score."""
