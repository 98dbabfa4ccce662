"""What a long training says while it works, and how it stops when told."""
