"""The book: a static site of a profile's executed notebooks and of the pages, built by Sphinx."""

import shutil
from pathlib import Path

from sphinx.cmd.build import build_main

from dsi_core.reproduce import run, sources
from dsi_core.runtime import released
from dsi_core.runtime.paths import ROOT


def build(profile: str, out: Path, figures_dir: str = "figures") -> Path:
    """Build the site; run first what has no executed copy that is as new as its notebook.

    Parameters
    ----------
    profile
        Whose executed notebooks, which come from its released answers.
    out
        The folder of the site.
    figures_dir
        Where notebooks that must be run put tables and figures.

    Returns
    -------
    Path
        The first page.

    Raises
    ------
    ValueError
        Notebooks must be run and the profile has no released answers, one of them failed, or Sphinx
        has complaints, which stand on stderr.
    """
    if waiting := sources.stale(profile):
        released.check(profile)
        names = ", ".join(path.stem for path in waiting)
        print(f"run first, from the released answers: {names}", flush=True)
        if not run.run(waiting, profile, figures_dir, from_released=True):
            raise ValueError("no book of notebooks that failed; why, see above")
    laid_out = ROOT / "executed" / "book" / profile
    sources.lay_out(profile, laid_out)
    read = ROOT / "executed" / "book" / f".{profile}"
    settings = ["-b", "html", "-c", str(ROOT / sources.BOOK), "-d", str(read)]
    if build_main([*settings, "-q", "-W", "--keep-going", str(laid_out), str(out)]):
        raise ValueError(f"Sphinx has complaints, see above; what it read is in {laid_out}")
    explorer = sources.explorer(profile)
    if explorer.exists():
        shutil.copyfile(explorer, out / explorer.name)
    return out / "index.html"
