"""Whether scores can be what they seem: near-duplicates, leakage between splits, metadata that predicts labels."""
