"""The book: a static site of a profile's executed notebooks and of the pages, built by Sphinx."""

import shutil
from pathlib import Path

from sphinx.cmd.build import build_main

from dsi_core.reproduce import run, sources
from dsi_core.runtime import released
from dsi_core.runtime.paths import ROOT


def build(profile: str, out: Path, *, as_is: bool = False) -> Path:
    """Build the site; run first the notebooks without an executed copy as new as its sources.

    Parameters
    ----------
    profile
        Whose executed notebooks, which come from its released answers.
    out
        The folder of the site.
    as_is
        Take the executed copies as they are, and run nothing.

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
    if not as_is and (waiting := sources.stale(profile)):
        released.check(profile)
        names = ", ".join(path.stem for path in waiting)
        print(f"run first, from the released answers: {names}", flush=True)
        if not run.run(waiting, profile, from_released=True):
            raise ValueError("no book of notebooks that failed; why, see above")
    laid_out = ROOT / "executed" / "book" / profile
    sources.lay_out(profile, laid_out)
    work = ROOT / "executed" / "book" / f".{profile}"
    html = work / "html"  # not `out` at once: myst-nb writes into the folder above, too
    shutil.rmtree(html, ignore_errors=True)
    settings = ["-b", "html", "-c", str(ROOT / sources.BOOK), "-d", str(work / "read")]
    if build_main([*settings, "-q", "-W", "--keep-going", str(laid_out), str(html)]):
        raise ValueError(f"Sphinx has complaints, see above; what it read is in {laid_out}")
    if (out / ".buildinfo").exists():  # a site that Sphinx made: no page of yesterday stays
        shutil.rmtree(out)
    shutil.copytree(html, out, dirs_exist_ok=True)
    explorer = sources.explorer(profile)
    if explorer.exists():
        shutil.copyfile(explorer, out / explorer.name)
    return out / "index.html"
