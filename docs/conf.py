"""The documentation site: `make docs` builds it into docs/_build/html, and fails on any warning, such as a broken link.

Nothing in the built site is loaded from the web. `make links` checks external links; it needs a network.
"""

import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "Tracked text classification"
version = release = PROJECT["version"]

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3  # so that a link to `page.md#heading` is checked as well

html_theme = "furo"
html_title = project
html_copy_source = False
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["site.css"]

linkcheck_timeout = 20
linkcheck_ignore = [r"http://127\.0\.0\.1"]
