"""Sphinx configuration: Markdown pages and the API from numpydoc docstrings."""

from importlib.metadata import version as installed_version

project = "city-emissions-monitor"
author = "the city-emissions-monitor developers"
version = release = installed_version(project)

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
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
# The pages that are included here link to files of the repository, which are not pages.
suppress_warnings = ["myst.xref_missing"]
