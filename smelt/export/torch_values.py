"""What the names in a file of `torch.save` mean; all others are refused.

None of them is imported or called: what they stand for is written here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from smelt import dtypes
from smelt.errors import FileError
from smelt.export.bounded_file import BoundedFile
from smelt.export.pickle_machine import ORDERED_DICT, Contradiction, Meaning
from smelt.export.torch_storages import KINDS, MOST_AXES, Storage, Storages
from smelt.nn.parameter import Parameter
from smelt.tensor import Tensor

__all__ = ["TorchValues"]

BYTES = 64  # of memory
PARAMETER = 400
# what tensors that Smelt has not are made of
ABSENT = {
    "torch.ComplexFloatStorage": "complex64",
    "torch.ComplexDoubleStorage": "complex128",
    "torch.ComplexHalfStorage": "complex32",
    "torch.QInt8Storage": "qint8",
    "torch.QUInt8Storage": "quint8",
    "torch.QInt32Storage": "qint32",
    "torch.QUInt4x2Storage": "quint4x2",
    "torch.QUInt2x4Storage": "quint2x4",
    "torch._utils._rebuild_tensor_v3": "uint16, uint32, uint64, float8 or another one",
    "torch._utils._rebuild_sparse_tensor": "that is sparse",
    "torch._utils._rebuild_nested_tensor": "that is nested",
    "torch._utils._rebuild_qtensor": "that is quantized",
}


class TorchValues:
    """The meanings of names in one file.

    Args:
        file: for messages.
        storages: into which its tensors look.
    """

    def __init__(self, file: BoundedFile, storages: Storages) -> None:
        self._file = file
        self._storages = storages
        utilities = "torch._utils."
        meanings = [
            Meaning("collections.OrderedDict", self._ordered_dict, (0,)),
            Meaning("torch.Size", _size, (1,)),
            Meaning(f"{utilities}_rebuild_tensor", self._tensor, (4,), holds=False),
            Meaning(f"{utilities}_rebuild_tensor_v2", self._tensor, (6, 7), holds=False),
            Meaning(f"{utilities}_rebuild_parameter", self._parameter, (3,), holds=False),
            Meaning("_codecs.encode", self._bytes, (2,)),
            *(Meaning(f"torch.{name}") for name in KINDS),
        ]
        self._meanings: dict[str, Any] = {meaning.name: meaning for meaning in meanings}
        self._meanings |= {f"torch.{dtype.name}": dtype for dtype in dtypes.ALL}

    def find(self, module: str, name: str, place: str) -> Any:
        """Returns what a name means.

        Raises:
            FileError: it is none of those above.
        """
        whole = f"{module}.{name}"
        if whole in self._meanings:
            return self._meanings[whole]
        where = f" at {place[:60]!r}" if place else ""
        if whole in ABSENT:
            raise FileError(
                f"{self._file.path}: has a tensor{where} of dtype {ABSENT[whole]}; Smelt reads "
                "bool, integers up to int64, float16, bfloat16, float32 and float64: convert it "
                "where PyTorch is installed"
            )
        raise FileError(
            f"{self._file.path}: names {whole[:120]!r}{where}, which PyTorch would import "
            "and call; Smelt runs no code, and reads only tensors, numbers and text within dicts, "
            "lists and tuples. Where PyTorch is installed, save only the state_dict, "
            "torch.save(model.state_dict(), path), or a .safetensors file"
        )

    def persistent(self, given: tuple[Any, ...]) -> Storage:
        """Returns the storage that a persistent id names: its kind, key, device and count, and in
        old files a part of another one, which stands here for itself.

        Raises:
            Contradiction: it is no storage's.
        """
        if len(given) == 6 and given[5] is None:
            given = given[:5]
        if len(given) != 5 or given[0] != "storage":
            what = repr(given[0])[:60] if given and isinstance(given[0], str) else "nothing"
            raise Contradiction(f"{what} in place of a storage")
        _, kind, key, location, count = given
        if not isinstance(kind, Meaning) or kind.name.removeprefix("torch.") not in KINDS:
            raise Contradiction("a storage without a dtype")
        if not isinstance(key, str) or not isinstance(location, str):
            raise Contradiction("a key that is not text")
        if type(count) is not int or not 0 <= count < 2**60:
            raise Contradiction("a count that is not a valid integer")
        return self._storages.add(key, KINDS[kind.name.removeprefix("torch.")], count)

    def _bytes(self, text: Any, encoding: Any) -> bytes:
        """Returns bytes, which protocol 2 writes as text of as many characters."""
        if not isinstance(text, str) or encoding != "latin1":
            raise Contradiction("an argument that is not text")
        self._file.take(BYTES + 2 * len(text))
        try:
            return text.encode("latin1")
        except UnicodeEncodeError:
            raise Contradiction("characters that are not bytes") from None

    def _ordered_dict(self) -> OrderedDict[Any, Any]:
        self._file.take(ORDERED_DICT)
        return OrderedDict()

    def _tensor(
        self,
        storage: Any,
        offset: Any,
        shape: Any,
        strides: Any,
        requires_grad: Any = False,
        hooks: Any = None,
        metadata: Any = None,
    ) -> Tensor:
        """Returns the tensor that `torch._utils._rebuild_tensor_v2` makes of these."""
        if not isinstance(storage, Storage):
            raise Contradiction("no storage")
        if type(shape) is not tuple or type(strides) is not tuple:
            raise Contradiction("a shape or strides that are not a tuple")
        if type(requires_grad) is not bool:
            raise Contradiction("a requires_grad that is not a bool")
        _check_plain(hooks, metadata)
        return self._storages.tensor(storage, offset, shape, strides, requires_grad)

    def _parameter(self, data: Any, requires_grad: Any, hooks: Any) -> Parameter:
        """Returns the parameter that `torch._utils._rebuild_parameter` makes of these."""
        if type(data) is not Tensor or type(requires_grad) is not bool:
            raise Contradiction("no tensor")
        if requires_grad and not data.dtype.is_float:
            raise Contradiction(f"a gradient for a tensor of {data.dtype.name}")
        _check_plain(hooks, None)
        self._file.take(PARAMETER)
        parameter = Parameter.__new__(Parameter)
        Tensor.__init__(parameter, data.stored, data.dtype, requires_grad)
        parameter.share_version(data)
        return parameter


def _check_plain(hooks: Any, metadata: Any) -> None:
    """Raises Contradiction when a tensor has hooks, or is a view that negates or conjugates."""
    for given in (hooks, metadata):
        if not (given is None or (isinstance(given, Mapping) and not given)):
            raise Contradiction("hooks or metadata, which Smelt's tensors do not have")


def _size(extents: Any) -> tuple[int, ...]:
    if type(extents) is not tuple or len(extents) > MOST_AXES:
        raise Contradiction("an argument that is not a shape")
    if not all(type(extent) is int for extent in extents):
        raise Contradiction("a shape with invalid extents")
    return extents
