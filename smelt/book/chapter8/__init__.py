"""Chapter 8: generative networks and Transformers."""

from smelt.book.chapter8 import (
    attention,
    gan,
    gan_cured,
    gan_variants,
    reviews,
    scaling,
    sentiment,
    sum_mod,
    sum_mod_cured,
)

__all__ = [
    "attention", "gan", "gan_cured", "gan_variants", "reviews", "scaling", "sentiment", "sum_mod",
    "sum_mod_cured",
]  # fmt: skip
