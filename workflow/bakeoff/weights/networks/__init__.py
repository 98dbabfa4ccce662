"""One module a set of pretrained weights.

A module has `FILE`, the published checkpoint; `network()`, the network that it fits; `ORIGIN` and `LICENCE` for model
cards. If the checkpoint's tensors have other names than the network's, it has `renamed(checkpoint, network)`; if the
network can have its strides in either of two places, `STRIDE_IN` says which the published one has.
"""
