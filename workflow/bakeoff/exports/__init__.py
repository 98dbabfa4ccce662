"""Networks as ONNX files, and how far their answers are from torch's."""
