"""Export: weights and checkpoints as files, steps as C, object code and WebAssembly, inference as
ONNX or with integers; and modules from ONNX and from PyTorch.
"""

from smelt.export.c_files import CExport, to_c
from smelt.export.checkpoint import load, save
from smelt.export.inference import Inference, InferenceTensor
from smelt.export.library_files import LibraryExport, to_library
from smelt.export.object_files import ObjectExport, to_object
from smelt.export.onnx import OnnxExport, OnnxModule, load_onnx, save_onnx
from smelt.export.quantization import LayerReport, QuantizationReport, QuantizedModule, quantize
from smelt.export.safetensors import load_file, read_metadata, save_file
from smelt.export.torch import TorchModule, from_torch
from smelt.export.wasm import WasmExport, to_wasm
from smelt.tensor.checked import checked_names as _checked_names

__all__ = [
    "CExport",
    "Inference",
    "InferenceTensor",
    "LayerReport",
    "LibraryExport",
    "ObjectExport",
    "OnnxExport",
    "OnnxModule",
    "QuantizationReport",
    "QuantizedModule",
    "TorchModule",
    "WasmExport",
    "from_torch",
    "load",
    "load_file",
    "load_onnx",
    "quantize",
    "read_metadata",
    "save",
    "save_file",
    "save_onnx",
    "to_c",
    "to_library",
    "to_object",
    "to_wasm",
]

_checked_names(globals(), __all__, __name__)
