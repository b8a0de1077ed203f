"""How Sphinx makes the book; `dsi book` lays the sources out and calls it."""

from importlib.util import find_spec
from pathlib import Path

from dsi_core import __version__

MATHJAX = Path(find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax"

project = "dsi_core"
author = "dsi_core contributors"
version = release = __version__
html_title = "dsi_core: did this model train on my dataset?"
extensions = ["myst_nb", "sphinx.ext.mathjax"]

nb_execution_mode = "off"  # executed copies come in
nb_merge_streams = True
nb_ipywidgets_js = {}  # no widget without a kernel, and nothing from a CDN
nb_code_prompt_show, nb_code_prompt_hide = "Show the {type}", "Hide the {type}"
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 4

html_theme = "sphinx_book_theme"
html_theme_options = {
    "home_page_in_toc": True,
    "logo": {"text": "dsi_core"},
    "pygments_light_style": "a11y-high-contrast-light",
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
}
html_context = {"default_mode": "light"}  # else the theme complains of an unknown one
html_static_path = ["static", str(MATHJAX / "tex-svg.js")]  # glyphs are in it: no fonts to load
html_css_files = ["book.css"]
mathjax_path = "tex-svg.js"
html_copy_source = False
html_last_updated_fmt = ""
html_show_search_summary = False  # it fetches pages, which a browser refuses to a file
