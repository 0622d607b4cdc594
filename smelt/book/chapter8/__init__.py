"""Chapter 8: generative networks and Transformers."""

from smelt.book.chapter8 import attention, gan, gan_cured, sentiment

__all__ = ["attention", "gan", "gan_cured", "sentiment"]
