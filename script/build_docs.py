"""Builds the site with Sphinx, and checks that every public name is explained somewhere.

    python script/build_docs.py

A warning is an error. So is a tutorial that fails, a figure of the gallery that cannot be drawn,
and a public name without an entry.
"""

from __future__ import annotations

import re
import shutil
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from smelt.errors import MissingExtra, SmeltError

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BUILD = DOCS / "_build"
REPORTS = BUILD / "html" / "reports"  # what MyST-NB writes of tutorials that failed
NEEDED = (
    "sphinx",
    "myst_nb",
    "furo",
    "sphinx_copybutton",
    "matplotlib",
    "polars",
    "PIL",
    "sklearn",
)
COLOR = re.compile(r"\x1b\[[\d;]*m")
ERROR = re.compile(r"^\w+(?:Error|Name|Extra): ", re.MULTILINE)


def require() -> None:
    """Says at once whether the site can be built here.

    Raises:
        MissingExtra: a library is not installed.
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise MissingExtra(f"building the site (it lacks {', '.join(missing)})", "docs")


def build() -> int:
    """Runs Sphinx; returns its status."""
    from sphinx.cmd.build import build_main

    shutil.rmtree(REPORTS, ignore_errors=True)
    options = ["--builder", "html", "--fail-on-warning", "--nitpicky", "--keep-going", "--quiet"]
    places = [str(DOCS), str(BUILD / "html"), "--doctree-dir", str(BUILD / "doctrees")]
    return int(build_main([*options, *places]))


def without_entry() -> list[str]:
    """Returns the public names that the site's inventory lacks."""
    from sphinx.util.inventory import InventoryFile

    sys.path.insert(0, str(DOCS / "site"))
    from public_names import names

    inventory = InventoryFile.loads((BUILD / "html" / "objects.inv").read_bytes(), uri="")
    explained = {
        name for kind, held in inventory.data.items() if kind.startswith("py:") for name in held
    }
    return [name.path for name in names() if name.path not in explained]


def failures() -> list[str]:
    """Returns, for each tutorial that failed, its name and the error of its cell."""
    found = []
    for report in sorted(REPORTS.rglob("*.err.log")):
        text = COLOR.sub("", report.read_text("utf-8")).rstrip()
        starts = [match.start() for match in ERROR.finditer(text)]
        page = report.relative_to(REPORTS).as_posix().removesuffix(".err.log")
        found.append(f"docs/{page}.md: {text[starts[-1] :] if starts else text}")
    return found


def main() -> int:
    """Builds, and says what came of it; returns the status of the process."""
    start = time.perf_counter()
    try:
        require()
    except SmeltError as error:
        print(error.message, file=sys.stderr)
        return 1
    if build():
        print("\n".join(["the site is not built", *failures()]), file=sys.stderr)
        return 1
    if lacking := without_entry():
        print("public, and not in the reference:", *lacking, sep="\n  ", file=sys.stderr)
        return 1
    pages = sum(1 for _ in (BUILD / "html").rglob("*.html"))
    print(f"{pages} pages in {time.perf_counter() - start:.0f} s: {BUILD / 'html' / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
