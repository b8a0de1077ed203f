"""How quick the explorer is in Chromium, at the size of `small` and at a made-up one.

Run it: `python tests/explorer_speed.py [SAMPLES SUSPECTS]`. It writes no file that stays.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
from playwright.sync_api import Page, sync_playwright

from dsi_core.plots.explorer import explore
from dsi_core.plots.explorer.explored import LONGEST, Explored, Points, rounded_up
from dsi_core.plots.style import Kind
from dsi_core.settings.schema import Rule

CHROMIUM = shutil.which("chromium") or ""
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
WORDS = ["a", "sample", "is", "tainted", "when", "training", "moves", "every", "reference", "more"]
# Milliseconds from moving a slider to the end of the drawing that follows
MOVE = """async ([name, value]) => {
  const root = document.querySelector(".dsi-explore");
  const slider = root.querySelector(`input[name=${name}]`);
  const before = root.dataset.drawn, begin = performance.now();
  slider.value = value;
  slider.dispatchEvent(new Event("input"));
  while (root.dataset.drawn === before) await new Promise(requestAnimationFrame);
  return performance.now() - begin;
}"""


def made_up(samples: int, suspects: int, draws: int = 3, seed: int = 0) -> Explored:
    """A dataset whose samples and suspects look like those of a study of this size."""
    random = np.random.default_rng(seed)
    before = random.normal(0.15, 0.2, (samples, 2))
    after = np.clip(before + random.normal(0.45, 0.3, (samples, 2)), -0.5, 1.0)
    min_gaps = (after - before).min(axis=1)
    members = max(1, suspects // 8)
    follow = np.where(np.arange(suspects) < members, 0.8, 0.1)[:, None, None]
    noise = random.normal(0, 0.15, (suspects, samples, draws)).astype("f4")
    kinds = [Kind.MEMBER, Kind.LIKE_D, Kind.OTHER, Kind.UNTUNED]
    place = np.minimum(np.arange(suspects) * len(kinds) // suspects, len(kinds) - 1)
    kind = [kinds[max(1, p)] if i >= members else kinds[0] for i, p in enumerate(place)]
    listed = pd.DataFrame(
        {
            "suspect": [f"suspect-{i:02}" for i in range(suspects)],
            "kind": [str(k) for k in kind],
            "member": pd.Series([k is Kind.MEMBER for k in kind], dtype=object),
        }
    )

    def texts(sample: int) -> dict:
        told = np.random.default_rng([seed, sample])
        say = lambda: " ".join(told.choice(WORDS, 30))  # noqa: E731
        said = {s: [(draw, say()) for draw in range(draws)] for s in listed["suspect"]}
        sides = {"before": [say(), say()], "after": [say(), say()]}
        return {"prompt": say(), "oracle": say(), **sides, "suspects": said}

    points = Points(
        "made up",
        sample_ids=[f"{i:016x}" for i in range(samples)],
        categories=[f"category {i % 12}" for i in range(samples)],
        references=["first", "second"],
        before=before.astype("f4"),
        after=after.astype("f4"),
        min_gaps=rounded_up(min_gaps),
        suspects=listed,
        gaps=rounded_up((follow * min_gaps[:, None] + noise).ravel()).reshape(noise.shape),
        lengths=np.minimum(random.lognormal(5.3, 0.8, noise.shape), LONGEST).astype("<u2"),
        texts=texts,
    )
    return Explored("made-up numbers and texts", [points], 0.3, 0.3, 20, Rule.TEXT)


def measure(page: Page, address: str) -> dict[str, float]:
    """Milliseconds until the first view, until all is loaded, of moves and of a region."""
    begin = time.monotonic()
    page.goto(address)
    page.wait_for_selector(".dsi-explore[data-drawn]")
    first = time.monotonic() - begin
    page.wait_for_selector(".dsi-explore[data-loaded]", timeout=120_000)
    loaded = time.monotonic() - begin
    moves = {
        name: median(page.evaluate(MOVE, [name, v]) for v in values)
        for name, values in {
            "delta_t": [0.1, 0.2, 0.35, 0.4, 0.15, 0.3],
            "delta_s": [0.1, 0.2, 0.35, 0.4, 0.15, 0.3],
            "mu": [5, 40, 80, 100, 60, 20],
        }.items()
    }
    box = page.locator(".plot").first.bounding_box() or {}
    x, y, width, height = (box[key] for key in ("x", "y", "width", "height"))
    page.mouse.move(x + 0.3 * width, y + 0.3 * height)
    page.mouse.down()
    begin = time.monotonic()
    for step in range(1, 11):
        page.mouse.move(x + (0.3 + 0.04 * step) * width, y + (0.3 + 0.03 * step) * height)
    page.evaluate("() => new Promise(requestAnimationFrame)")
    brushed = (time.monotonic() - begin) / 10
    page.mouse.up()
    return {"first view": first * 1e3, "all loaded": loaded * 1e3, **moves, "region": brushed * 1e3}


def main() -> None:
    """Print a line for each size."""
    sizes = [(48, 24), (50_000, 40)]
    if len(sys.argv) == 3:
        sizes = [(int(sys.argv[1]), int(sys.argv[2]))]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        for samples, suspects in sizes:
            path = Path(folder) / f"{samples}.html"
            text, told = explore.page(made_up(samples, suspects), 40)
            path.write_text(text)
            page = browser.new_page(viewport={"width": 1024, "height": 768})
            found = measure(page, path.as_uri())
            times = ", ".join(f"{name} {value:.0f} ms" for name, value in found.items())
            size = path.stat().st_size / 1e6
            print(f"{samples:,} x {suspects}: {size:.1f} MB; {times}. {told}", flush=True)
        browser.close()


if __name__ == "__main__":
    main()
