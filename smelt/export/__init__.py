"""What leaves Python: weights and checkpoints as files."""

from smelt.export.checkpoint import load, save
from smelt.export.safetensors import load_file, read_metadata, save_file
from smelt.tensor.checked import checked_names as _checked_names

__all__ = ["load", "load_file", "read_metadata", "save", "save_file"]

_checked_names(globals(), __all__, __name__)
