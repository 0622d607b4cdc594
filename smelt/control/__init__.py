"""Structured control flow: loops and branches as operations with gradients."""

from smelt.control.cond import cond
from smelt.control.scan import scan
from smelt.control.while_loop import while_loop

__all__ = ["cond", "scan", "while_loop"]
