"""A repository of two notebooks and a page, and the book of it."""

import os
import shutil
from base64 import b64decode
from pathlib import Path

import nbformat
import pytest
from written import code, notebook, text

from dsi_core.reproduce import book, run, sources

REPOSITORY = Path(__file__).parents[2]
INDEX = """# A small book

Read [the first](notebooks/01_seen.ipynb) and [the words](notebooks/pages/words.md#what-is-tainted).

```{toctree}
:caption: Start here

explorer
notebooks/01_seen
notebooks/02_not_run
notebooks/pages/words
CHANGELOG
```
"""
WORDS = """# Words

## What is tainted

What moves by more than $\\delta_t$; it costs $5.
The [settings](../../params/small.yaml) say how much, the
[explorer](../../figures/small/explore.html) shows it.

![A point](../../figures/point.png)
"""
WIDE = f"<table class='dataframe'><tr>{'<td>a cell</td>' * 40}</tr></table>"
POINT = b64decode(  # a PNG of one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)


@pytest.fixture(scope="session")
def repository(tmp_path_factory):
    """Notebook 01 with an executed copy, 02 without."""
    root = tmp_path_factory.mktemp("repository")
    shutil.copytree(REPOSITORY / "notebooks" / "book", root / "notebooks" / "book")
    for name, content in {
        "notebooks/book/index.md": INDEX,
        "notebooks/pages/words.md": WORDS,
        "params/small.yaml": "seed: 0\n",
        "CHANGELOG.md": "# Changelog\n",
        "dsi_core/method.py": "",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    (root / "figures").mkdir()
    (root / "figures" / "point.png").write_bytes(POINT)
    seen = notebook(
        text("# Seen\n\nOf $D$: $$\\min_i s_i > \\delta_t$$"),
        code("profile: str = 'small'", "parameters"),
        code("figures_dir = '/tmp/nowhere'", "injected-parameters"),
        code("show()", html=WIDE),
        code("explore.explorer()", "skip-execution"),
        code("widgets.rating()", "skip-execution"),
    )
    nbformat.write(seen, root / "notebooks" / "01_seen.ipynb")
    copy = root / "executed" / "small" / "01_seen.ipynb"
    copy.parent.mkdir(parents=True)
    seen.metadata["papermill"] = {"passed": True}
    nbformat.write(seen, copy)
    other = notebook(text("# Not run"), code("audit = read(folder)"))
    nbformat.write(other, root / "notebooks" / "02_not_run.ipynb")
    return root


@pytest.fixture(scope="session")
def site(repository):
    """The book of that repository: its folder."""
    out = repository / "site"
    with pytest.MonkeyPatch.context() as patch:
        for module in (book, run, sources):
            patch.setattr(module, "ROOT", repository)
        book.build("small", out, as_is=True)
    return out


@pytest.fixture
def page(tmp_path):
    """Write a site of one page with this in its article; gives its folder."""

    def write(article: str, head: str = "<title>A title</title>") -> Path:
        html = f"<html><head>{head}</head><body><article>{article}</article></body></html>"
        (tmp_path / "index.html").write_text(html)
        return tmp_path

    return write


@pytest.fixture
def older():
    """Set a file's time so many seconds before now."""

    def set_time(path: Path, seconds: float) -> None:
        then = path.stat().st_mtime - seconds
        os.utime(path, (then, then))

    return set_time
