"""Export: weights and checkpoints as files, steps as C, inference as ONNX; modules from PyTorch."""

from smelt.export.c_files import CExport, to_c
from smelt.export.checkpoint import load, save
from smelt.export.onnx import OnnxExport, save_onnx
from smelt.export.safetensors import load_file, read_metadata, save_file
from smelt.export.torch import TorchModule, from_torch
from smelt.tensor.checked import checked_names as _checked_names

__all__ = [
    "CExport",
    "OnnxExport",
    "TorchModule",
    "from_torch",
    "load",
    "load_file",
    "read_metadata",
    "save",
    "save_file",
    "save_onnx",
    "to_c",
]

_checked_names(globals(), __all__, __name__)
