"""The cards of ONNX's operators, by family."""
