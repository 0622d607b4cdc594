"""Structured control flow: loops and branches as operations, with gradients of their own."""

from smelt.control.backward import pulled_back
from smelt.control.batched import batched_loop
from smelt.control.cond import cond
from smelt.control.forward import pushed_forward
from smelt.control.loop import Rules, scan_op
from smelt.control.scan import scan
from smelt.control.while_loop import while_loop

__all__ = ["cond", "scan", "while_loop"]

scan_op.rules = Rules(pulled_back, pushed_forward, batched_loop)
