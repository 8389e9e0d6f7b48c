"""Sphinx configuration: Markdown pages, notebooks, and the API from numpydoc docstrings."""

import json
from html import escape
from importlib.metadata import version as installed_version

from myst_parser.parsers.sphinx_ import MystParser

project = "city-emissions-monitor"
author = "the city-emissions-monitor developers"
version = release = installed_version(project)

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext", ".ipynb": "notebook"}
default_role = "code"

myst_enable_extensions = ["dollarmath"]
autosummary_generate = True
autodoc_typehints = "description"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = False

html_theme = "alabaster"
html_theme_options = {"description": "From the air over a city to verdicts", "fixed_sidebar": True}
html_copy_source = False
# The pages that are included here link to files of the repository, which are not pages; a public name is
# documented where it is defined and where its package offers it, and links may take either.
suppress_warnings = ["myst.xref_missing", "ref.python"]


def escape_bars(app, what, name, obj, options, lines):
    """|x| is a modulus in our docstrings, and never a substitution."""
    lines[:] = [line if line.startswith(" ") or "``" in line else line.replace("|", r"\|") for line in lines]


def skip_foreign(app, what, name, obj, skip, options):
    """Attributes that SQLAlchemy puts on its base class, with links into its own documentation."""
    return True if name in ("metadata", "registry") else None


class NotebookParser(MystParser):
    """A notebook is the Markdown page of its cells and of the outputs that it holds."""

    supported = ("notebook",)

    def parse(self, inputstring, document):
        cells = json.loads(inputstring)["cells"]
        super().parse("\n\n".join(part for cell in cells for part in parts_of(cell)), document)


def parts_of(cell):
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"````python\n{source}\n````"
    for output in cell["outputs"]:
        data = output.get("data", {"text/plain": output.get("text", "")})
        text = "".join(data["text/plain"]).rstrip()
        if "image/png" in data:
            image = "".join(data["image/png"]).replace("\n", "")
            yield f'<img src="data:image/png;base64,{image}" alt="{escape(text)}">'
        elif text:
            yield f"````text\n{text}\n````"


def setup(app):
    app.add_source_parser(NotebookParser)
    app.connect("autodoc-process-docstring", escape_bars)
    app.connect("autodoc-skip-member", skip_foreign)
