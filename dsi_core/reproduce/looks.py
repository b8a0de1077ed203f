"""How the book looks: every page in headless Chromium, on a desktop and on a phone."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dsi_core.reproduce.proof import Fault, Site

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDTHS = (1280, 390)  # pixels: a desktop, a phone
HERE = ("file:", "data:", "blob:", "about:")
# what the HTML cannot tell, once MathJax is done
SEEN = """async () => {
  if (window.MathJax && MathJax.startup) await MathJax.startup.promise;
  const wide = document.documentElement.scrollWidth - window.innerWidth;
  const out = [...document.querySelectorAll("article *")].find(
    one => one.getBoundingClientRect().right > window.innerWidth + 1);
  const titles = [...document.querySelectorAll("article :is(h1, h2, h3, h4), .prev-next-title")];
  const formulas = [...document.querySelectorAll("article .math")];
  const wrong = document.querySelectorAll("mjx-merror, [data-mml-node=merror]").length;
  const images = [...document.querySelectorAll("article img")];
  return [
    ...(wide > 0 ? [`${wide} pixels too wide: ${out ? out.outerHTML.slice(0, 80) : ""}`] : []),
    ...titles.filter(title => title.scrollWidth > title.clientWidth + 1)
      .map(title => `a title that is cut: ${title.textContent}`),
    ...formulas.filter(formula => !formula.querySelector("mjx-container"))
      .map(formula => `a formula that is not set: ${formula.textContent}`),
    ...(wrong ? [`${wrong} formulas that MathJax does not understand`] : []),
    ...images.filter(image => image.complete && !image.naturalWidth)
      .map(image => `a picture that does not show: ${image.src.slice(0, 80)}`),
  ];
}"""


def chromium() -> str | None:
    """Give the path of a Chromium that can be looked through here, or None."""
    if find_spec("playwright") is None:
        return None
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def faults(folder: Path, widths: tuple[int, ...] = WIDTHS) -> list[Fault]:
    """Open every page of a site, at each width.

    Returns
    -------
    list of Fault
        Errors in the console, requests that fail or leave this machine, what sticks out, titles
        that are cut, formulas that MathJax did not set, pictures that do not show.

    Raises
    ------
    RuntimeError
        No Chromium, see `chromium`.
    """
    found: list[Fault] = []
    with opened() as (tab, troubles):
        for name in Site(folder).pages:
            tab.goto((folder / name).resolve().as_uri())
            for width in widths:
                tab.set_viewport_size({"width": width, "height": 900})
                told = tab.evaluate(SEEN)
                found += [Fault(name, f"{what} (at {width} pixels)") for what in told]
            found += [Fault(name, what) for what in troubles]
            troubles.clear()
    return found


@contextmanager
def opened() -> Iterator[tuple[Any, list[str]]]:
    """Open a tab; in the list stands what goes wrong in it."""
    from playwright.sync_api import sync_playwright

    path = chromium()
    if path is None:
        raise RuntimeError(f"no Chromium on this machine (looked for: {', '.join(PROGRAMS)})")
    troubles: list[str] = []
    with sync_playwright() as play:
        program = play.chromium.launch(executable_path=path, args=list(OPTIONS))
        tab = program.new_page()
        tab.on("pageerror", lambda error: troubles.append(f"an error: {error}"))
        tab.on("console", lambda said: _errors(said, troubles))
        tab.on("requestfailed", lambda asked: troubles.append(f"cannot load {asked.url[:200]}"))
        tab.on("request", lambda asked: _elsewhere(asked, troubles))
        yield tab, troubles
        program.close()


def _errors(said: Any, troubles: list[str]) -> None:
    if said.type == "error":
        troubles.append(f"the console says: {said.text}")


def _elsewhere(asked: Any, troubles: list[str]) -> None:
    if not asked.url.startswith(HERE):
        troubles.append(f"asks another machine for {asked.url}")
