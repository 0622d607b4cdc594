"""The report of a quantization: what each layer needs and how it was scaled, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LayerReport", "QuantizationReport"]


@dataclass(frozen=True, slots=True)
class LayerReport:
    """One layer.

    Attributes:
        name: in `layers`, from the module's path.
        kind: "linear", "convolution", "add", "table" and so on.
        scale: of its result: the int8 number q stands for scale * q.
        saturation: the share of the result's numbers, on the calibration data, that lie beyond.
        bytes_before: of its float32 weights and biases.
        bytes_after: of what it keeps: int8 weights, int32 biases and multipliers, tables.
    """

    name: str
    kind: str
    scale: float | None
    saturation: float
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True, slots=True)
class QuantizationReport:
    """What `quantize` made.

    Attributes:
        layers: those that compute something, in order.
        float_operations: operations that are computed in float32, with their modules.
        bytes_before: of all float32 weights and biases.
        bytes_after: of all that the quantized layers keep.
        score_before, score_after: what `evaluate` gave for the model and the quantized one: the
            accuracy, if it was given as inputs and labels; None without.
    """

    layers: tuple[LayerReport, ...]
    float_operations: tuple[str, ...]
    bytes_before: int
    bytes_after: int
    score_before: float | None = None
    score_after: float | None = None

    def __str__(self) -> str:
        rows = [("layer", "kind", "scale", "saturated", "bytes before", "after")]
        rows += [
            (
                one.name,
                one.kind,
                "" if one.scale is None else f"{one.scale:.4g}",
                f"{one.saturation:.2%}",
                f"{one.bytes_before:,}",
                f"{one.bytes_after:,}",
            )
            for one in self.layers
        ]
        rows.append(("", "", "", "", f"{self.bytes_before:,}", f"{self.bytes_after:,}"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                text.ljust(width) if place < 2 else text.rjust(width)
                for place, (text, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        if self.float_operations:
            lines.append(f"in float32: {', '.join(self.float_operations)}")
        if self.score_before is not None and self.score_after is not None:
            lines.append(f"score: {self.score_before:.4f} before, {self.score_after:.4f} after")
        return "\n".join(lines)
