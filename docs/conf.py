"""How Sphinx builds the site: `script/docs`."""

from __future__ import annotations

import sys
import zlib
from pathlib import Path
from typing import Any

from smelt.version import __version__

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "site"))

import docstrings  # noqa: E402
import gallery  # noqa: E402
import reference  # noqa: E402
import references  # noqa: E402

project = "Smelt"
author = "the authors of Smelt"
copyright = author
version = release = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build", "site"]
nitpicky = True
default_role = "code"
add_module_names = False
python_display_short_literal_types = True
maximum_signature_line_length = 80
toc_object_entries = False  # the sidebar of each page would carry thousands of them
suppress_warnings = ["config.cache"]

# the pages
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist"]

# the tutorials, which are run
nb_execution_mode = "cache"
nb_execution_in_temp = True  # what a tutorial writes is gone with it
nb_execution_timeout = 120  # seconds a cell
nb_execution_raise_on_error = False  # a failure is a warning, and all of them are reported
nb_execution_excludepatterns = ["notebook.ipynb"]  # which keeps its results; a test runs it
nb_execution_show_tb = True
nb_merge_streams = True

# the reference
autodoc_typehints_format = "short"
autodoc_inherit_docstrings = False  # a method that says nothing is explained by its base class
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

# how it looks
html_theme = "furo"
html_title = f"Smelt {__version__}"
html_static_path = ["site/static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
copybutton_exclude = ".linenos, .gp, .go"  # prompts and what is printed


def setup(app: Any) -> None:
    """Writes the pages that are made from the code, and says how docstrings are read."""
    # a change of what reads the docstrings has all pages read anew
    sources = "".join(path.read_text("utf-8") for path in sorted((HERE / "site").glob("*.py")))
    app.add_config_value("site_sources", zlib.crc32(sources.encode()), "env")
    reference.write(HERE / "reference")
    gallery.write(HERE / "gallery")
    app.connect("autodoc-process-docstring", docstrings.rewrite, priority=100)
    app.connect("autodoc-process-docstring", docstrings.restore, priority=900)
    app.connect("autodoc-process-bases", references.show_public_bases)
    app.connect("doctree-read", references.settle)
    app.connect("missing-reference", references.resolve)
