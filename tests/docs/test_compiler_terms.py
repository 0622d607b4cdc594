"""The page of compiler terms: every file that it names is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "compiler_terms.md").read_text()
ROWS = [line.split("|") for line in PAGE.splitlines() if line.startswith("| ")][2:]


def test_every_file_is_there():
    missing = []
    for row in ROWS:
        folder = ""
        for name in re.findall(r"`([\w/]+\.py)`", row[3]):
            path = name if "/" in name or not folder else f"{folder}/{name}"
            folder = path.rpartition("/")[0]
            roots = (ROOT / "smelt" / "compiler", ROOT / "smelt")
            if not any((root / path).is_file() for root in roots):
                missing.append(name)
    assert ROWS
    assert not missing


def test_every_row_says_what_and_where():
    assert all(len(row) == 6 and row[2].strip() and row[3].strip() for row in ROWS)
