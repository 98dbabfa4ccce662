"""One package a data set: where its archives are, and which member is which image and mask."""
