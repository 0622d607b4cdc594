"""The table from operators to cards."""

from __future__ import annotations

from typing import Final

from smelt.export.onnx.load.card import Card, Cards
from smelt.export.onnx.load.operators import (
    activations,
    attention,
    constants,
    control,
    convolution,
    detection,
    elementwise,
    images,
    indexing,
    losses,
    movement,
    normalization,
    optimizers,
    pooling,
    products,
    quantized,
    random,
    recurrent,
    reductions,
    sequences,
    signals,
)

CARDS: Final[dict[str, Cards]] = {
    "": {
        **constants.CARDS,
        **elementwise.CARDS,
        **activations.CARDS,
        **movement.CARDS,
        **indexing.CARDS,
        **products.CARDS,
        **convolution.CARDS,
        **pooling.CARDS,
        **detection.CARDS,
        **reductions.CARDS,
        **normalization.CARDS,
        **losses.CARDS,
        **recurrent.CARDS,
        **attention.CARDS,
        **control.CARDS,
        **sequences.CARDS,
        **images.CARDS,
        **signals.CARDS,
        **quantized.CARDS,
        **random.CARDS,
    },
    "ai.onnx.preview.training": optimizers.CARDS,
}


def card_of(domain: str, op_type: str, version: int) -> Card | None:
    """Returns the card of an operator; None where Smelt has none for this version."""
    card = CARDS.get(domain, {}).get(op_type)
    return card if card is not None and card.first <= version < card.before else None
