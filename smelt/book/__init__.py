"""The book's programs, figures, tables and problems, by their numbers.

One file a program, or a small group; each is a page that a student reads. `smelt book list` names
them, `smelt book show E5.1` prints one, `smelt book run E5.1` runs it and checks what the book
says. They use the standard library, NumPy, matplotlib and Smelt's public names, nothing else.

    entry.py     what an entry is, and the list of all
    source.py    the program text of an entry
    runner.py    an entry runs; what became of it
    text.py      results for a terminal
    page.py      results as one web page
"""

from smelt.book.entry import Claim, Entry, Page, entries, find, run

__all__ = ["Claim", "Entry", "Page", "entries", "find", "run"]
