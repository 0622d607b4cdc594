"""Lowering: a placed group of nodes -> a kernel of plain loops (the loop IR)."""
