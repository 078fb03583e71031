"""How `./run docs` makes pages of docs/. Nothing is fetched, and nothing of the program is imported.

What is generated from code and schemas (`docs/reference/`) is checked in and held to the program by a test, so that it
reads the same on a forge, on paper and here.
"""

from __future__ import annotations

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

project = "reconciler"
copyright = "the reconciler authors, Apache-2.0"
version = release = "0.1.0"

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = True

myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]

html_theme = "furo"
html_title = "reconciler"
html_copy_source = False
html_show_sphinx = False
html_permalinks_icon = "#"
html_theme_options = {"navigation_with_keys": True}


def setup(app: Sphinx) -> None:
    """Diagrams stay text here: a forge draws them, and drawing them in the page would load a script from elsewhere."""
    app.add_lexer("mermaid", TextLexer)
