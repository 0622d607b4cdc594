"""ONNX in: a file that others wrote, as a module that trains and compiles.

- `load`: the call.
- `wire`: the bytes of the file as `messages`, in bounded memory; `tensors`: its arrays.
- `graph`: the messages as checked nodes, each with the card of its operator.
- `table`: operator -> card; the cards stand in `operators`, a module for each family.
- `card`: what a card is; `known`: values that are known while Python runs.
- `module`, `evaluate`: the graph as a module, and how it is computed; `places`: paths of tensors.
"""

from smelt.export.onnx.load.load import load_onnx
from smelt.export.onnx.load.module import OnnxModule

__all__ = ["OnnxModule", "load_onnx"]
