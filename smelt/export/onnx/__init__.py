"""ONNX: what a module or a function computes, as a file that other runtimes read; `load` reads
what others wrote.

- `save`: the call, and the file as a whole.
- `axes`: which lengths may change, and for which the trace holds.
- `operators`: ONNX's own operators in the place of functions that were marked in the trace.
- `prepare`: the traced graph without what inference does not need.
- `table`: operation -> rule; the rules stand in a module for each family of operations.
- `writer`: what rules write with; `lengths` is arithmetic on extents.
"""

from smelt.export.onnx.load import OnnxModule, load_onnx
from smelt.export.onnx.save import OnnxExport, OnnxTensor, save_onnx

__all__ = ["OnnxExport", "OnnxModule", "OnnxTensor", "load_onnx", "save_onnx"]
