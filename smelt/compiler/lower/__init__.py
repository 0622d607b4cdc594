"""Lowering: a group of nodes with slots -> a kernel of plain loops (the loop IR)."""
