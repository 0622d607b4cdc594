"""What leaves Python: weights as files."""

from smelt.export.safetensors import load_file, read_metadata, save_file

__all__ = ["load_file", "read_metadata", "save_file"]
