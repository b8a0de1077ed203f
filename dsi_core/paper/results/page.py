"""The page of results, `notebooks/pages/results.md`: hand-written prose, computed numbers.

The sentences stand in `results.md.j2`; their numbers are computed here from `figures/small/*.csv`
(ours) and `params/reported.yaml` (the paper's). What a sentence says in words ("all of them miss
it") stands in `claims`: where the tables no longer bear one, no page is written.
"""

from collections.abc import Callable
from pathlib import Path

import jinja2
import pandas as pd

from dsi_core.paper.results import audits, beyond, cost, items, printed
from dsi_core.paper.results.claims import Read, claims
from dsi_core.paper.results.said import Numbers
from dsi_core.runtime import disk
from dsi_core.runtime.paths import ROOT

FIGURES = ROOT / "figures" / "small"
PAGE = ROOT / "notebooks" / "pages" / "results.md"
README = ROOT / "README.md"
MARKS = ("<!-- Written by `dsi results`. -->", "<!-- Until here. -->")

SECTIONS: list[Callable[[Read], Numbers]] = [
    items.observations,
    items.non_iid,
    items.iid,
    items.by_dataset,
    items.ablations,
    items.robustness,
    items.baseline,
    cost.cost,
    beyond.grey_box,
    beyond.share_of_d,
    beyond.attribution,
    beyond.imitation,
    audits.audits,
    cost.speed,
]


def pages(folder: Path = FIGURES) -> dict[Path, str]:
    """Write the page, and the README's short results, from the tables of a folder.

    Parameters
    ----------
    folder
        Where the notebooks left their CSVs.

    Returns
    -------
    dict
        The text of each file.

    Raises
    ------
    ValueError
        A sentence of the templates is no longer true of the tables, or README.md lacks the marks
        between which the short results stand.
    """

    def read(name: str) -> pd.DataFrame:
        return pd.read_csv(folder / f"{name}.csv")

    wrong = [sentence for sentence, holds in claims(read).items() if not holds]
    if wrong:
        listed = "\n  ".join(wrong)
        raise ValueError(
            f"results.md.j2 says what the tables of {folder} do not; change the words there and "
            f"in paper/results/claims.py:\n  {listed}"
        )
    numbers = {section.__name__: section(read) for section in SECTIONS}
    numbers["paper"] = printed.the_papers()
    return {
        PAGE: _filled("results.md.j2", numbers),
        README: _between_marks(
            README.read_text(encoding="utf-8"), _filled("short_results.md.j2", numbers)
        ),
    }


def write(folder: Path = FIGURES) -> list[Path]:
    """Write the texts of `pages` to their files and return where they are."""
    texts = pages(folder)
    for path, text in texts.items():
        disk.write_text(path, text)
    return list(texts)


def stale(folder: Path = FIGURES) -> list[Path]:
    """The files that are not what `write` would write."""
    return [
        path
        for path, text in pages(folder).items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def _filled(template: str, numbers: Numbers) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dsi_core.paper.results", "."),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown
    )
    return environment.get_template(template).render(**numbers)


def _between_marks(text: str, block: str) -> str:
    before, start, rest = text.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not (start and end):
        raise ValueError(f"README.md has no {MARKS[0]} followed by {MARKS[1]}")
    return f"{before}{start}\n{block}{end}{after}"
