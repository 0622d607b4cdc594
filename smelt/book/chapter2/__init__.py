"""Chapter 2: the ideas that networks are made of, and what one installs to build them."""

from smelt.book.chapter2 import descent, environment, figures, first_programs, problems

__all__ = ["descent", "environment", "figures", "first_programs", "problems"]
