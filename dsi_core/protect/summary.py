"""What `dsi protect` says: how much a kit can find, what to look at, what to publish and keep."""

from collections import Counter, defaultdict

import numpy as np
import pandas as pd

from dsi_core.data import near_duplicates
from dsi_core.data.pairs import answers_used, said_of, sides
from dsi_core.data.spool import Mapped
from dsi_core.evidence import looks, power
from dsi_core.evidence.power import Twin
from dsi_core.protect import copies, wordings
from dsi_core.protect.draft import STOCK, STOCK_SHARE, Draft
from dsi_core.protect.kit import Kit
from dsi_core.protect.kit_files import COMMITMENT, PRIVATE, PUBLISHED
from dsi_core.protect.rows import listed
from dsi_core.protect.texts import read, words
from dsi_core.protect.wordings import LONGER, NEAR_COPY, SHORTER

ALPHA = 0.05
SAMPLES = (25, 50, 100)
MOST = 400  # samples for which power is simulated
# As many coins of rows whose prompts begin with the same words may be of one template
TEMPLATE, TEMPLATE_SHARE = 10, 0.05
BEGINNING = 5  # words
EFFECTS = (0.2, 0.4, 0.6, 0.8)
RUNS = 100  # simulated audits for each cell
MEASURED = {
    Twin.WORDING: "its mean preference for the published wording",
    Twin.PRIVATE: "how much closer it comes to published outputs than to withheld ones",
}


def of_draft(draft: Draft) -> str:
    """Say how much a kit could find, and what to look at before the coin is tossed."""
    parts = [_counts(draft), sides(draft.source)]
    if draft.unused:
        names = ", ".join(draft.unused)
        parts.append(f"columns that are not used: {names} (published as they are)")
    parts += answers_used(len(draft.rows), int(draft.table["answers"].sum()))
    if draft.dropped:
        parts.append(f"{said_of(draft.dropped)}; the kit neither publishes nor withholds these")
        parts += [
            f"  {why}: {_named(places, draft.dropped[why])}"
            for why, places in draft.left_out.items()
        ]
    if "document" in draft.table and (alone := int(draft.table["document"].isna().sum())):
        parts.append(f"{alone:,} rows have no value of --group: none shares a coin by it")
    if draft.late:
        parts.append(
            "the split is there before the commitment: that a coin decided it, and of which unit, "
            "is its owner's word"
        )
    if draft.kind is Twin.WORDING:
        compared = draft.compared
        near = int((compared["jaccard"] >= NEAR_COPY).sum())
        parts.append(
            f"the two wordings of a row share {compared['jaccard'].mean():.0%} of their words on "
            f"average (Jaccard; ROUGE-L {compared['rouge_l'].mean():.2f}); near copies: {near} of "
            f"{len(compared)}"
        )
    if draft.copied and not draft.late:
        parts.append(_shared(draft))
    parts += [f"warning: {text}" for text in warnings(draft)]
    parts.append(f"smallest p of an audit: {draft.smallest_p:.2g}")
    parts.append(
        f"how often an audit at alpha {ALPHA} finds a model that trained on what is published, by "
        f"samples asked, each with a coin of its own, and by {MEASURED[draft.kind]} (in standard "
        f"deviations over the samples); {RUNS} simulated audits each, so right within 0.1:\n"
        f"{power_table(draft).to_string(index=False)}"
    )
    return "\n".join(parts)


def of_kit(kit: Kit) -> str:
    """Say what to do with each of its files."""
    return (
        f"first   publish {kit.folder / COMMITMENT}, where somebody else dates it (a repository, "
        "an archive, a time stamp): a commitment that is not older than the data shows nothing\n"
        f"then    publish {kit.folder / PUBLISHED}\n"
        f"keep    {kit.folder / PRIVATE}, to yourself and with a backup: from when others have it "
        "the test is exact no more, and without it there is none"
    )


def power_table(draft: Draft) -> pd.DataFrame:
    """Simulate audits of such a kit: column samples, then one for each effect.

    samples: as many of its coins, and all of them (at most `MOST`).
    """
    every, share = min(draft.groups, MOST), draft.published_groups / draft.groups
    rows = []
    for samples in sorted({*(n for n in SAMPLES if n < every), every}):
        plan, published = looks.planned(samples, ALPHA), round(samples * share)
        found = {
            f"{effect} SD": power.power(draft.kind, samples, effect, plan, RUNS, 0, published).found
            for effect in EFFECTS
        }
        rows.append({"samples": samples, **found})
    return pd.DataFrame(rows).round(2)


def warnings(draft: Draft) -> list[str]:
    """Say what costs power, or lets others tell which wording is which."""
    if draft.kind is Twin.WORDING:
        return (
            _of_wordings(draft.wordings, draft.compared) + _of_stock(draft) + _of_templates(draft)
        )
    said = _of_parts(draft) if draft.late else _of_stock(draft)  # else near-duplicates share a coin
    if draft.own_output:
        places = draft.places
        said.append(
            f"the prompts of {len(draft.own_output)} of {len(places)} rows hold their own output, "
            "which is so shown to whom they are asked, and of which they can show nothing; leave "
            f"them out: {listed(places[i] for i in draft.own_output)}"
        )
    return said + _of_templates(draft)


def _shared(draft: Draft) -> str:
    """What is said of rows that share a coin as one holds a text of the other."""
    what = "a wording" if draft.kind is Twin.WORDING else "the output"
    text = (
        f"{what} of another row is held by {copies.said(draft.copied, draft.places)}; such rows "
        f"share a coin, or it would publish what it keeps back: {draft.groups} coins, not "
        f"{draft.apart} (to have more, take the columns or earlier turns that hold it out of the "
        "data)"
    )
    if draft.kind is Twin.PRIVATE and any(copy.where == copies.PROMPT for copy in draft.copied):
        text += "; an audit shows a prompt to whom it asks, with all that it holds"
    return text


def _of_stock(draft: Draft) -> list[str]:
    if not draft.stock:
        return []
    what = "wordings" if draft.kind is Twin.WORDING else "outputs"
    return [
        f"{what} that stand in so many rows ({STOCK} or more, and {STOCK_SHARE:.0%}) are kept back "
        f"by no coin: {copies.said(draft.stock, draft.places)}; rows with such {what} show "
        "nothing: leave them out, or name with --group what they share"
    ]


def _of_templates(draft: Draft) -> list[str]:
    """Many rows whose prompts begin alike, and whose outputs are alike, with coins of their own.

    Of a split that is there the coins are fallen; data of one template cannot share one coin.
    """
    if draft.late:
        return []
    begun = defaultdict(list)  # of each beginning of a prompt: the rows
    for i, row in enumerate(draft.rows):
        begun[tuple(words(row.prompt)[:BEGINNING])].append(i)
    least = max(TEMPLATE, TEMPLATE_SHARE * len(draft.rows))
    many = [
        rows
        for rows in begun.values()
        if least <= draft.table["group"].iloc[rows].nunique() <= draft.groups / 2
        and _have_a_frame([words(draft.rows[i].first) for i in rows])
    ]
    if not many:
        return []
    return [
        f"{sum(map(len, many))} rows seem made from templates, the first of each: "
        f"{listed(draft.places[rows[0]] for rows in many)}; a model that answers as a template "
        "does comes near all its rows, whether it saw them or not; if --group names what they "
        "share, they have one coin and count once"
    ]


def _have_a_frame(outputs: list[list[str]]) -> bool:
    """Whether half of the words in these outputs are words that nearly all of them have."""
    held = Counter(word for output in outputs for word in set(output))
    frame = {word for word, outputs_with in held.items() if outputs_with >= 0.9 * len(outputs)}
    found = [word in frame for output in outputs for word in output]
    return sum(found) >= len(found) / 2 > 0


def _counts(draft: Draft) -> str:
    sizes = draft.table["group"].value_counts()
    text = f"{draft.name}: {draft.kind}, {len(draft.rows)} rows with {draft.groups} coins"
    if sizes.max() > 1:
        text += f" (up to {sizes.max()} rows share one)"
    if draft.kind is Twin.PRIVATE:
        text += f", of which {draft.published_groups} publish their rows"
    return text


def _of_wordings(table: pd.DataFrame, compared: pd.DataFrame) -> list[str]:
    outside = ~compared["length"].between(SHORTER, LONGER)
    jaccard = compared["jaccard"].map("{:.2f}".format)
    lengths = compared["length"].map("{:.2f} times as long".format)
    nouns = "" if wordings.capitals_are_names(table) else ", which says little where nouns have one"
    found = [
        (compared["jaccard"] >= NEAR_COPY, "near copies, which add nothing", jaccard),
        (compared["numbers"] != "", "numbers differ", compared["numbers"]),
        (compared["names"] != "", f"names (words with a capital{nouns}) differ", compared["names"]),
        (outside, f"lengths differ (outside {SHORTER} to {LONGER})", lengths),
    ]
    said = [
        f"{what} in {marked.sum()} of {len(table)} rows: {_rows(table[marked], detail[marked])}"
        for marked, what, detail in found
        if marked.any()
    ]
    if habits := wordings.habits(table):
        said.append(f"the two sides can be told apart by habits: {listed(habits)}")
    return said


def _of_parts(draft: Draft) -> list[str]:
    published = draft.table["published"].to_numpy()
    parts = [
        Mapped(draft.rows, lambda row: (read(row.prompt), read(row.first)), np.flatnonzero(part))
        for part in (~published, published)
    ]
    withheld = pd.DataFrame(list(parts[0]), columns=near_duplicates.SIDES)
    near = near_duplicates.find(withheld, parts[1])
    places, said = draft.places, []
    repeat = np.flatnonzero(~published)[near.to_numpy()].tolist()
    if repeat:
        said.append(
            f"{len(repeat)} withheld rows nearly repeat a published one, so that whoever trains on "
            f"that knows them too: {listed(places[i] for i in repeat)}"
        )
    repeated = set(repeat)
    if copied := [copy for copy in draft.copied if copy.of not in repeated]:
        said.append(
            f"published rows hold the output of a withheld one: {copies.said(copied, places)}"
        )
    return said


def _named(places: list[str], count: int) -> str:
    """Say the first places of so many."""
    rest = [f"and {count - len(places):,} more"] if count > len(places) else []
    return "; ".join(places + rest)


def _rows(table: pd.DataFrame, details: pd.Series) -> str:
    return listed(f"{p} ({d})" for p, d in zip(table["place"], details, strict=True))
