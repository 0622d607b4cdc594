"""Figures of data, trainings and networks, each as a matplotlib Figure that `save` writes.

Every function takes data (tensors, arrays or lists) and returns a new Figure; nothing is shown and
no global state of matplotlib is touched. matplotlib is imported only when a figure is drawn.
"""

from smelt.plot.confusion import confusion
from smelt.plot.curves import curves
from smelt.plot.diagram import Diagram, Place
from smelt.plot.flow import gradient_flow, gradients_through_time
from smelt.plot.functions import activations, contour, descent
from smelt.plot.images import feature_maps, images, kernels
from smelt.plot.lines import learning_rates, loss_curves, moving_average
from smelt.plot.maps import attention, heatmap
from smelt.plot.measures import bars, histograms
from smelt.plot.networks import architecture, network, perceptron, pipeline
from smelt.plot.points import decision_boundary, sample_variants, samples, scatter
from smelt.plot.predictions import calibration, predicted_against_true
from smelt.plot.sequences import encoder_decoder, lstm_cell, unrolled
from smelt.plot.style import require, save, to_png, to_svg
from smelt.plot.systems import deadlock, gan, transformer_block
from smelt.plot.time import timeline, timelines
from smelt.tensor.checked import checked_room as _checked_room

__all__ = [
    "Diagram",
    "Place",
    "activations",
    "architecture",
    "attention",
    "bars",
    "calibration",
    "confusion",
    "contour",
    "curves",
    "deadlock",
    "decision_boundary",
    "descent",
    "encoder_decoder",
    "feature_maps",
    "gan",
    "gradient_flow",
    "gradients_through_time",
    "heatmap",
    "histograms",
    "images",
    "kernels",
    "learning_rates",
    "loss_curves",
    "lstm_cell",
    "moving_average",
    "network",
    "perceptron",
    "pipeline",
    "predicted_against_true",
    "require",
    "sample_variants",
    "samples",
    "save",
    "scatter",
    "timeline",
    "timelines",
    "to_png",
    "to_svg",
    "transformer_block",
    "unrolled",
]

_checked_room(__name__)
