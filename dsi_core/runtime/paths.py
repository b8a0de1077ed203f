"""Where the repository lies on this machine, or what an installation without it brings along."""

import site
import sys
from collections.abc import Iterable
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
SHARED = Path("share", "dsi_core")  # below a prefix: what `data-files` in pyproject.toml put there


def root(checkout: Path, prefixes: Iterable[str]) -> Path:
    """Give the folder of `params/` and `figures/`.

    The repository if `dsi_core` is imported from it (`pip install -e`, or a notebook in it), else
    what `pip install .` put below the first of the prefixes that has it: profiles and what `dsi
    audit` knows of members, no notebooks. Without either the checkout, where errors say what lacks.
    """
    shared = (Path(prefix) / SHARED for prefix in prefixes)
    places = [checkout, *shared]
    return next((place for place in places if (place / "params").is_dir()), checkout)


ROOT = root(CHECKOUT, (sys.prefix, site.getuserbase()))
# Below which results are kept: nobody looks for them among installed packages
WORK = ROOT if ROOT == CHECKOUT else Path.cwd()


def found(folder: str | Path) -> Path:
    """Give a folder as it is named here, or where there is none, from the repository's root.

    Commands name folders from where they run, mostly there; JupyterLab runs notebooks in theirs.
    """
    path = Path(str(folder))  # papermill takes a name of digits for a number
    return ROOT / path if not path.exists() and (ROOT / path).exists() else path
