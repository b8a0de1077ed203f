"""What `dsi protect` says of a kit: how much it can find, what to look at, publish and keep."""

import pandas as pd

from dsi_core.data import near_duplicates
from dsi_core.protect import kit as kits
from dsi_core.protect import wordings
from dsi_core.protect.coins import NEAR_DUPLICATE
from dsi_core.protect.kit import COMMITMENT, PRIVATE, PUBLISHED, Kind, Kit
from dsi_core.protect.rows import listed
from dsi_core.protect.wordings import LONGER, NEAR_COPY, SHORTER

BEGIN = 50  # characters by which a row is named


def describe(kit: Kit) -> str:
    """Say it in a few lines for the terminal."""
    parts = [_counts(kit)]
    if kit.commitment.late:
        parts.append(
            "the split existed before this commitment: that a coin decided it, and of which unit, "
            "is its owner's word"
        )
    if kit.kind == Kind.WORDING:
        compared = wordings.compare(kit.wordings)
        near = int((compared["jaccard"] >= NEAR_COPY).sum())
        parts.append(
            f"the two wordings of a row share {compared['jaccard'].mean():.0%} of their words on "
            f"average (Jaccard; ROUGE-L {compared['rouge_l'].mean():.2f}); near copies: {near} of "
            f"{len(compared)}"
        )
    parts += [f"warning: {text}" for text in warnings(kit)]
    parts.append(f"smallest p of an audit: {kits.smallest_p(kit.rows, kit.kind):.2g}")
    parts += [
        f"publish  {kit.folder / PUBLISHED}, and {kit.folder / COMMITMENT} with it or before; let "
        "somebody else date it (a repository, an archive, a time stamp): its date must come before "
        "the publication",
        f"keep     {kit.folder / PRIVATE} to yourself, with a backup: whoever sees it can undo the "
        "test, whoever loses it cannot audit",
    ]
    return "\n".join(parts)


def warnings(kit: Kit) -> list[str]:
    """Say what costs power, or should be looked at before the dataset is published."""
    return _of_wordings(kit) if kit.kind == Kind.WORDING else _of_parts(kit)


def _counts(kit: Kit) -> str:
    said, sizes = kit.commitment, kit.rows["group"].value_counts()
    text = f"{kit.folder}: {said.kind} of {said.name}, {said.rows} rows with {said.groups} coins"
    if sizes.max() > 1:
        text += f" (up to {sizes.max()} rows share one)"
    if kit.kind == Kind.PRIVATE:
        text += f"; {said.published} published, {said.rows - said.published} withheld"
    return text


def _of_wordings(kit: Kit) -> list[str]:
    texts = kit.wordings
    compared = wordings.compare(texts)
    outside = ~compared["length"].between(SHORTER, LONGER)
    lengths = compared["length"].map("{:.2f} times as long".format)
    jaccard = compared["jaccard"].map("{:.2f}".format)
    found = [
        (compared["jaccard"] >= NEAR_COPY, "near copies, which add nothing", jaccard),
        (compared["numbers"] != "", "numbers differ", compared["numbers"]),
        (compared["names"] != "", "names differ (or words with a capital)", compared["names"]),
        (outside, f"lengths differ (outside {SHORTER} to {LONGER})", lengths),
    ]
    said = [
        f"{what} in {marked.sum()} of {len(texts)} rows: {_rows(texts[marked], detail[marked])}"
        for marked, what, detail in found
        if marked.any()
    ]
    if habits := wordings.habits(texts):
        said.append(f"the two sides can be told apart by habits: {listed(habits)}")
    return said


def _of_parts(kit: Kit) -> list[str]:
    if not kit.commitment.late:
        return []  # near-duplicates share a coin
    pairs = kit.rows.rename(columns={"text": "output"})
    published, withheld = pairs[pairs["published"]], pairs[~pairs["published"]]
    near = near_duplicates.find(withheld, published, NEAR_DUPLICATE)
    if not near.any():
        return []
    return [
        f"{near.sum()} withheld rows nearly repeat a published one, so that whoever trains on "
        f"that knows them too: {listed(repr(p[:BEGIN]) for p in withheld.loc[near, 'prompt'])}"
    ]


def _rows(texts: pd.DataFrame, details: pd.Series) -> str:
    prompts = texts["prompt"].str[:BEGIN]
    return listed(f"{p!r} ({d})" for p, d in zip(prompts, details, strict=True))
