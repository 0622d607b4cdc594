"""Without scikit-learn the room says what to install."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
sys.modules["sklearn"] = None  # as if it were not installed
from smelt.errors import MissingExtra
try:
    import smelt.sklearn
except MissingExtra as error:
    print(error.message)
"""


def test_a_missing_scikit_learn_is_named() -> None:
    found = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert found.stdout == (
        "smelt.sklearn needs the optional extra [sklearn]; install it with: "
        "pip install 'smelt-learn[sklearn]'\n"
    )
