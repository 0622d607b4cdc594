"""Structured control flow: loops and branches as operations, with gradients of their own."""

from smelt.control.scan import scan

__all__ = ["scan"]
