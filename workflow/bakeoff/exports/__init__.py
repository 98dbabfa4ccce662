"""Networks as ONNX files, and their parity with torch."""
