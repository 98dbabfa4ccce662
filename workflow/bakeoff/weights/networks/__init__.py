"""One module a set of pretrained weights: its network and its address."""
