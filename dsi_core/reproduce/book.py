"""The book: a static site of a profile's executed notebooks and of the pages, built by Sphinx."""

import shutil
from pathlib import Path

from sphinx.cmd.build import build_main

from dsi_core.reproduce import run, sources
from dsi_core.runtime import disk
from dsi_core.runtime.paths import ROOT
from dsi_core.settings import profile as profiles

WRITTEN = ".pages"  # in the site: the files that its last build wrote, a line each


def build(profile: str, out: Path, *, as_is: bool = False) -> Path:
    """Build the site; run first the notebooks without an executed copy as new as its sources.

    Parameters
    ----------
    profile
        Whose executed notebooks, which come from its released answers.
    out
        The folder of the site. What an earlier build wrote there goes, all else stays.
    as_is
        Take the executed copies as they are, and run nothing.

    Returns
    -------
    Path
        The first page.

    Raises
    ------
    ValueError
        Notebooks must be run and the profile has no released answers, one of them failed, Sphinx
        has complaints, which stand on stderr, or in `out` is a file of yours where one would go.
    """
    if not as_is and (waiting := sources.stale(profile)):
        run.check_released(profiles.load_profile(profile))
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
    whole = False
    try:
        whole = not build_main([*settings, "-q", "-W", "--keep-going", str(laid_out), str(html)])
    finally:
        if not whole:  # Sphinx complains of a page only when it reads it
            shutil.rmtree(work / "read", ignore_errors=True)
    if not whole:
        raise ValueError(f"Sphinx has complaints, see above; what it read is in {laid_out}")
    explorer = sources.explorer(profile)
    if explorer.exists():
        shutil.copyfile(explorer, html / explorer.name)
    _publish(html, out)
    return out / "index.html"


def _is_older(out: Path) -> bool:
    built, first = out / ".buildinfo", out / "index.html"
    return built.exists() and first.exists() and b"dsi_core" in first.read_bytes()


def _publish(html: Path, out: Path) -> None:
    """Copy a site to where it is wanted, in place of what an earlier build wrote there."""
    place, listed = out.resolve(), out / WRITTEN
    old = listed.read_text(encoding="utf-8").splitlines() if listed.exists() else []
    new = sorted(path.relative_to(html).as_posix() for path in html.rglob("*") if path.is_file())
    # a version of ours kept no list: its pages are written over
    is_ours = not listed.exists() and _is_older(out)
    yours = [out / name for name in new if name not in old and (out / name).exists()]
    if yours and not is_ours:
        raise ValueError(
            f"{yours[0]}: no build of a book wrote this; move it away, or choose another --out"
        )
    for name in old:
        path = (place / name).resolve()
        if path.is_relative_to(place) and path.is_file():  # a list could name anything
            path.unlink()
    out.mkdir(parents=True, exist_ok=True)
    disk.write_text(listed, "\n".join(new))  # first: what breaks off goes with the next build
    shutil.copytree(html, out, dirs_exist_ok=True)
