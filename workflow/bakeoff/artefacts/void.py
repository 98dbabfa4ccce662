"""The class index that stands for no class. In a module of its own: what predicts has no tables (pandas)."""

# In `masks.npy` a pixel without an answer: in no loss, class weight, score, picture or audit.
VOID = 255
