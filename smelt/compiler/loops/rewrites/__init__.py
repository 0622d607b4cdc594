"""Rewrites: each takes loops and returns loops that do the same; its docstring shows both."""
