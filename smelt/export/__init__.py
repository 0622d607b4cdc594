"""What leaves Python: weights and checkpoints as files."""

from smelt.export.checkpoint import load, save
from smelt.export.safetensors import load_file, read_metadata, save_file

__all__ = ["load", "load_file", "read_metadata", "save", "save_file"]
