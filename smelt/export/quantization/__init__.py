"""Quantization: trained models as models of int8 with int32 sums, for inference."""

from smelt.export.quantization.module import QuantizedModule
from smelt.export.quantization.quantize import quantize
from smelt.export.quantization.report import LayerReport, QuantizationReport

__all__ = ["LayerReport", "QuantizationReport", "QuantizedModule", "quantize"]
