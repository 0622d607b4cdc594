"""Export: weights and checkpoints as files, steps as C, inference as ONNX, and back."""

from smelt.export.c_files import CExport, to_c
from smelt.export.checkpoint import load, save
from smelt.export.onnx import OnnxExport, OnnxModule, load_onnx, save_onnx
from smelt.export.safetensors import load_file, read_metadata, save_file
from smelt.tensor.checked import checked_names as _checked_names

__all__ = [
    "CExport",
    "OnnxExport",
    "OnnxModule",
    "load",
    "load_file",
    "load_onnx",
    "read_metadata",
    "save",
    "save_file",
    "save_onnx",
    "to_c",
]

_checked_names(globals(), __all__, __name__)
