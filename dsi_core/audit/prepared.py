"""A prepared dataset: all that an arbiter needs to prompt a suspect, as texts and numbers.

A folder without weights: samples.jsonl, references.jsonl, known.jsonl and, written last,
prepared.json. Where part of the data is withheld, only its owner may read the others.
"""

import hashlib
import json
from dataclasses import dataclass
from math import ceil, comb
from pathlib import Path

import pandas as pd

from dsi_core.audit import prepared_json
from dsi_core.audit.prepared_json import Against, Facts, Part
from dsi_core.audit.suspect import AnswerStatus
from dsi_core.evidence import blind, controls
from dsi_core.method.study import PAIR, Study
from dsi_core.runtime import store
from dsi_core.settings.profile import Profile

FILES = ("samples.jsonl", "references.jsonl", "known.jsonl")
INSIDE = "prepared"  # where `dsi prepare` puts the folder, below audits/<dataset>
WEAK_UNDER = 10  # tainted samples
SMALLEST_SHOWN = 1e-4  # p-value of the twin: what as many random deals can show
RESPONSE = ["dataset", "suspect", "sample_id", "draw", "response", "status"]
KNOWN = [*RESPONSE, "member", "group", "reference", "gap"]


@dataclass(frozen=True)
class Prepared:
    """What `prepare.run` left in a folder.

    Attributes
    ----------
    folder, facts
        Where, and what prepared.json says.
    study
        The settings, and the pairs of D.
    samples
        sample_id, part (a `Part`), prompt, output, category, min_gap, tainted.
    scores
        As `study.reference_scores`.
    known
        Responses of models whose membership is known, as `study.gaps_to`, with member, group and
        status.
    """

    folder: Path
    facts: Facts
    study: Study
    samples: pd.DataFrame
    scores: pd.DataFrame
    known: pd.DataFrame

    @property
    def tainted(self) -> pd.DataFrame:
        """The samples that an audit may ask about, in the order in which it asks.

        Random, the same for every model, and blind to the parts.
        """
        chosen = self.samples[self.samples["tainted"]].sort_values("sample_id")
        return chosen.sample(frac=1, random_state=self.study.profile.seed).reset_index(drop=True)

    @property
    def in_parts(self) -> tuple[int, int]:
        """How many tainted samples are published, and how many withheld."""
        counts = self.tainted["part"].value_counts()
        return int(counts.get(Part.PUBLISHED, 0)), int(counts.get(Part.WITHHELD, 0))


def write(prepared: Prepared) -> Prepared:
    """Write its folder, prepared.json last, and read it back."""
    folder = prepared.folder
    tables = (
        prepared.samples.drop(columns="dataset"),
        prepared.scores.drop(columns=["dataset", "prompt", "output", "category"]),
        wide(prepared.known),
    )
    private = bool((prepared.samples["part"] == Part.WITHHELD).any())
    hashes = {}
    for name, table in zip(FILES, tables, strict=True):
        text = table.to_json(orient="records", lines=True, force_ascii=False, double_precision=8)
        store.write_text(folder / name, text, private=private)
        hashes[name] = hashlib.sha256(text.encode()).hexdigest()
    facts = prepared.facts.changed(sha256=hashes, versions=store.versions(), made=store.now())
    if not _says(folder, facts, prepared.study.profile):
        prepared_json.write(folder, facts, prepared.study.profile)
    return read(folder)


def _says(folder: Path, facts: Facts, profile: Profile) -> bool:
    """Whether the folder's prepared.json says the same, but for when it was found."""
    if not prepared_json.lies_in(folder):
        return False
    try:
        known, settings = prepared_json.read(folder)
    except ValueError:  # an earlier version's
        return False
    same = known.changed(versions=facts.versions, made=facts.made) == facts
    return same and settings == profile


def read(folder: str | Path) -> Prepared:
    """Read a folder that `prepare.run` wrote, or the one above it.

    Raises
    ------
    ValueError
        If it is incomplete, in another format, or a file is not the one that prepared.json names.
    """
    folder, tables = Path(folder), []
    within = folder / INSIDE
    if not prepared_json.lies_in(folder) and prepared_json.lies_in(within):
        folder = within
    facts, profile = prepared_json.read(folder)
    for name in FILES:
        content = (folder / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != facts.sha256[name]:
            raise ValueError(
                f"{folder / name} was changed after the preparation "
                f"(its SHA-256 differs from {prepared_json.NAME}'s)"
            )
        tables.append(lines(content.decode()).assign(dataset=facts.name))
    samples, scores, known = tables
    scores = samples[PAIR].merge(scores, on=["dataset", "sample_id"], validate="1:m")
    study = Study(profile, samples[PAIR])
    return Prepared(folder, facts, study, samples, scores, long(known, profile))


def lines(text: str) -> pd.DataFrame:
    """Read a table from one JSON object a line."""
    return pd.DataFrame([json.loads(line) for line in text.split("\n") if line])


def wide(responses: pd.DataFrame) -> pd.DataFrame:
    """Give one row per response, with a column "gap to <reference>" for each reference."""
    if responses.empty:
        return pd.DataFrame()
    table = responses.assign(reference="gap to " + responses["reference"])
    not_kept = ("dataset", "reference", "architecture", "before", "after", "gap")
    keys = [c for c in table.columns if c not in not_kept]
    pivoted = table.pivot(index=keys, columns="reference", values="gap")
    return pivoted.reset_index().rename_axis(columns=None)


def long(table: pd.DataFrame, profile: Profile) -> pd.DataFrame:
    """Reverse `wide`: one row per response and reference, as `study.gaps_to`."""
    if table.empty:
        return pd.DataFrame(columns=KNOWN)
    gaps = {f"gap to {r.name}": r.name for r in profile.references}
    others = [c for c in table.columns if c not in gaps]
    renamed = table.rename(columns=gaps)
    return renamed.melt(others, list(gaps.values()), "reference", "gap")


def strength(prepared: Prepared, alpha: float = 0.05) -> pd.DataFrame:
    """Tell what the tainted samples can carry.

    Returns columns what, have, enough (yes | weak | no), why.
    """
    rows = [_vote(prepared), _controls(prepared, alpha), _twin(prepared, alpha)]
    return pd.DataFrame(rows, columns=["what", "have", "enough", "why"])


def _vote(prepared: Prepared) -> tuple[str, str, str, str]:
    count = len(prepared.tainted)
    have = f"{count} of {len(prepared.samples)} samples tainted"
    if not count:
        enough, why = "no", "no sample to ask about"
    elif count < WEAK_UNDER:
        enough, why = "weak", f"under {WEAK_UNDER} samples, single answers decide"
    else:
        enough, why = "yes", "an odd answer cannot decide it"
    return "vote (§5.4)", have, enough, why


def _controls(prepared: Prepared, alpha: float) -> tuple[str, str, str, str]:
    models = prepared.known[["suspect", "member"]].drop_duplicates()
    count = int((~models["member"].astype(bool)).sum())
    smallest = 1 / (count + 1)
    enough = len(prepared.tainted) >= controls.MIN_SAMPLES and smallest <= alpha
    needed = ceil(1 / alpha) - 1
    return (
        "against controls",
        f"{count} models known not to have seen D",
        "yes" if enough else "no",
        f"smallest possible p-value {smallest:.3g}; alpha {alpha:g} needs {needed} controls",
    )


def _twin(prepared: Prepared, alpha: float) -> tuple[str, str, str, str]:
    published, withheld = prepared.in_parts
    smallest = 1 / comb(published + withheld, published)
    why = "no part of the data was withheld"
    if withheld:
        why = f"smallest possible p-value {max(smallest, SMALLEST_SHOWN):.2g}"
    have = f"{published} published and {withheld} withheld tainted samples"
    return "private twin", have, "yes" if smallest <= alpha else "no", why


def blind_table(prepared: Prepared) -> pd.DataFrame:
    """Show the blind checks: against, auc, low, high, published, other (pairs)."""
    rows = [(c.name, c.auc, c.low, c.high, *c.pairs) for c in prepared.facts.blind]
    return pd.DataFrame(rows, columns=["against", "auc", "low", "high", "published", "other"])


def suspect_answers(prepared: Prepared) -> pd.DataFrame:
    """Give the known models' responses that can be evidence, as `study.suspect_gaps` has them."""
    kept = prepared.known["status"].isin([AnswerStatus.ANSWERED, AnswerStatus.SHORT])
    return prepared.known[kept].drop(columns=["member", "group", "status"])


def describe(prepared: Prepared, alpha: float = 0.05) -> str:
    """Say what a preparation found, in a few lines for the terminal."""
    facts = prepared.facts
    means = prepared.scores.groupby("reference")[["before", "after"]].mean()
    learnt = [
        f"{name} repeats the oracle at {before:.2f} before and {after:.2f} after tuning"
        for name, before, after in means.itertuples()
    ]
    parts = [
        f"{prepared.folder}: {len(prepared.tainted)} of {len(prepared.samples)} samples are "
        f"tainted; {'; '.join(learnt)} (similarity, 1 = word for word)"
    ]
    parts += [f"dropped: {count} {why}" for why, count in facts.dropped.items() if count]
    if facts.left_out:
        names = ", ".join(facts.left_out)
        parts.append(f"control left out, as its training data is missing or part of yours: {names}")
    for check in facts.blind:
        line = f"blind check, D against {check.name}: "
        if check.auc is None:
            line += "too few pairs"
        else:
            line += f"AUC {check.auc:.2f} ({check.low:.2f} to {check.high:.2f})"
        if check.against is Against.TWIN and blind.tells_apart(check.auc):
            line += (
                ": a text classifier can tell them apart, so the comparison is not like with like"
            )
        parts.append(line)
    parts.append(strength(prepared, alpha).to_string(index=False))
    return "\n".join(parts)
