"""A prepared dataset: all that an arbiter needs to prompt a suspect, as texts and numbers.

A folder without weights: samples.jsonl, references.jsonl, known.jsonl and, written last,
prepared.json.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd

from dsi_core.audit.preparation import prepared_json, split
from dsi_core.audit.preparation.prepared_json import Facts
from dsi_core.audit.suspect import AnswerStatus
from dsi_core.method import verdict
from dsi_core.method.study import PAIR, Study
from dsi_core.method.verdict import Status
from dsi_core.runtime import disk, provenance
from dsi_core.runtime.paths import found
from dsi_core.settings.profile import Profile

FILES = ("samples.jsonl", "references.jsonl", "known.jsonl")
INSIDE = "prepared"  # where `dsi prepare` puts the folder, below audits/<dataset>
RESPONSE = ["dataset", "suspect", "sample_id", "draw", "response", "status"]
KNOWN = [*RESPONSE, "member", "group", "base", "reference", "gap"]


@dataclass(frozen=True, eq=False)
class Prepared:
    """What `prepare.run` left in a folder; equal only to itself.

    Attributes
    ----------
    folder, facts
        Where, and what prepared.json says.
    study
        The settings, and the pairs of D.
    samples
        dataset, sample_id, prompt, output, category, min_gap, tainted.
    scores
        As `study.reference_scores`.
    known
        Responses of models whose membership is known, as `study.gaps_to`, with member, status,
        group (the kind) and base: the model that it started from, as the profile calls it, or of
        texts without a model a word for that (`innocents`).
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

        Random, and the same for every model.
        """
        return in_order(self.samples[self.samples["tainted"]], self.study.profile.seed)


def in_order(samples: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Put samples into the order of asking, whatever order they come in."""
    ordered = samples.sort_values("sample_id", ignore_index=True)
    return ordered.sample(frac=1, random_state=seed, ignore_index=True)


def write(prepared: Prepared) -> Prepared:
    """Write its folder, prepared.json last, and read it back."""
    folder = prepared.folder
    tables = (
        prepared.samples.drop(columns="dataset"),
        prepared.scores.drop(columns=["dataset", "prompt", "output", "category"]),
        wide(prepared.known),
    )
    hashes = {}
    for name, table in zip(FILES, tables, strict=True):
        text = table.to_json(orient="records", lines=True, force_ascii=False, double_precision=8)
        disk.write_text(folder / name, text)
        hashes[name] = hashlib.sha256(text.encode()).hexdigest()
    facts = prepared.facts.changed(
        sha256=hashes, versions=provenance.versions(), made=provenance.now()
    )
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
    folder, tables = found(folder), []
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


@lru_cache(maxsize=1)  # an audit asks after every block of answers
def known_evidence(prepared: Prepared, draws: int) -> pd.DataFrame:
    """Give the known models' evidence on all tainted samples, from so many responses to each.

    Returns
    -------
    pandas.DataFrame
        Columns model, member, group, base, sample_id, evidence, status; each model's samples in
        the order of asking.
    """
    known = prepared.known[prepared.known["draw"] < draws]
    columns = ["model", "member", "group", "base", "sample_id", "evidence", "status"]
    if known.empty:
        return pd.DataFrame(columns=columns).astype({"member": bool})
    mu = prepared.study.profile.decision.mu
    judged = verdict.evidence(known, prepared.study.delta_s, mu)
    models = known[["suspect", "member", "group", "base"]].drop_duplicates()
    each = models.merge(prepared.tainted[["sample_id"]], how="cross")
    table = each.merge(judged, on=["suspect", "sample_id"], how="left", validate="1:1")
    table["status"] = table["status"].fillna(str(Status.FILTERED))
    return table.rename(columns={"suspect": "model"}).astype({"member": bool})[columns]


def blind_table(prepared: Prepared) -> pd.DataFrame:
    """Show the blind checks: against, auc, low, high, p, noticed, pairs (of D), other (pairs)."""
    rows = [(c.name, c.auc, c.low, c.high, c.p, c.noticed, *c.pairs) for c in prepared.facts.blind]
    numbers = ["auc", "low", "high", "p", "noticed"]
    return pd.DataFrame(rows, columns=["against", *numbers, "pairs", "other"])


def suspect_answers(prepared: Prepared) -> pd.DataFrame:
    """Give the known models' responses that can be evidence, as `study.suspect_gaps` has them."""
    kept = prepared.known["status"].isin([AnswerStatus.ANSWERED, AnswerStatus.SHORT])
    return prepared.known[kept].drop(columns=["member", "group", "base", "status"])


def halves(prepared: Prepared) -> str:
    """Say how D was split; "" where it was not."""
    found = prepared.facts.split
    return "" if found is None else split.in_words(found, prepared.study.profile.seed)
