"""A prepared dataset: all that an arbiter needs to prompt a suspect, as texts and numbers.

A folder without weights: samples.jsonl, references.jsonl, known.jsonl and, written last,
prepared.json.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from pathlib import Path

import pandas as pd

from dsi_core.audit.preparation import innocents, prepared_json, split, usable
from dsi_core.audit.preparation.prepared_json import Answers, Compared, Facts
from dsi_core.audit.suspect import AnswerStatus, is_blank
from dsi_core.evidence import blind, controls
from dsi_core.method import verdict
from dsi_core.method.study import PAIR, Study
from dsi_core.method.verdict import Status
from dsi_core.runtime import disk, provenance
from dsi_core.runtime.paths import ROOT
from dsi_core.settings.profile import Profile

FILES = ("samples.jsonl", "references.jsonl", "known.jsonl")
INSIDE = "prepared"  # where `dsi prepare` puts the folder, below audits/<dataset>
WEAK_UNDER = 10  # tainted samples
NAMED = 5  # innocents that the vote calls members
NOTHING_FOUND = (
    "; every other output nearly repeats the sample's own, as in data of one template: --iid with "
    "other texts of the kind gives it something to find"
)
LIKE_D = "data like D"  # the kind of those controls, as profiles call it
RESPONSE = ["dataset", "suspect", "sample_id", "draw", "response", "status"]
KNOWN = [*RESPONSE, "member", "group", "base", "reference", "gap"]


@dataclass(frozen=True, eq=False)
class Prepared:
    """What `prepare.run` left in a folder; equal to itself alone.

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
    folder, tables = Path(str(folder)), []  # papermill takes a name of digits for a number
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


def draws_allowed(prepared: Prepared) -> tuple[int, str]:
    """Give how many answers to a prompt an audit may ask for, and by which control; "" = by none.

    The closest answer counts, and more are closer by chance: as many as the profile says, but no
    more than the control has that answered some sample the fewest times.
    """
    most = prepared.study.profile.responses.draws
    fewest = _fewest_draws(prepared).droplevel([*controls.STRATUM])
    if fewest.empty or fewest.min() >= most:
        return most, ""
    return int(fewest.min()), str(fewest.idxmin())


def _fewest_draws(prepared: Prepared) -> pd.Series:
    """The answers of each innocent to the sample that it answered the fewest times.

    By suspect, group and base; a sample that it did not answer at all is none.
    """
    innocent = prepared.known[~prepared.known["member"].astype(bool)]
    who = ["suspect", *controls.STRATUM]
    return innocent.groupby([*who, "sample_id"])["draw"].nunique().groupby(who).min()


def accused(prepared: Prepared) -> pd.DataFrame:
    """Give the innocents that the vote calls members, of as many answers as an audit asks for.

    Returns
    -------
    pandas.DataFrame
        Columns model, positive, negative: counts of samples; those with most positive ones first.
    """
    known = known_evidence(prepared, draws_allowed(prepared)[0])
    innocent, sides = known[~known["member"]], [str(Status.POSITIVE), str(Status.NEGATIVE)]
    counts = pd.crosstab(innocent["model"], innocent["status"]).reindex(columns=sides, fill_value=0)
    called = counts[counts["positive"] > counts["negative"]]
    return called.sort_values("positive", ascending=False, kind="stable").reset_index()


def cautions(prepared: Prepared) -> list[str]:
    """Say what a preparation cannot carry, though it is there; a sentence each."""
    said = []
    innocent, called = len(_fewest_draws(prepared)), accused(prepared)
    if len(called):
        first = called.head(NAMED).itertuples(index=False)
        named = ", ".join(f"{model} ({p} to {n})" for model, p, n in first)
        more = f" and {len(called) - NAMED} more" if len(called) > NAMED else ""
        said.append(
            f"the vote calls {len(called)} of the {innocent} innocent models members (positive to "
            f"negative samples): {named}{more}; a suspect that it calls one may be as innocent"
        )
    if len(prepared.tainted) < controls.MIN_SAMPLES:
        return said
    texts = prepared.known[~prepared.known["response"].map(is_blank).astype(bool)]
    found = texts.loc[texts["group"] == innocents.RETRIEVAL, "sample_id"].nunique()
    few = strata(prepared).query("controls == 0")
    for kind, base in few[controls.STRATUM].itertuples(index=False):
        nothing = kind == innocents.RETRIEVAL and found < controls.MIN_SAMPLES
        said.append(
            f"no control of the kind {kind!r} ({base}) has answers that can be evidence to "
            f"{controls.MIN_SAMPLES} samples: p is 1 within it, so no rank is a finding"
            + (NOTHING_FOUND if nothing else "")
        )
    return said


def strata(prepared: Prepared, alpha: float = 0.05) -> pd.DataFrame:
    """Tell how many controls there are of each kind and base, and what a rank among them can be.

    Returns
    -------
    pandas.DataFrame
        Columns group, base, controls (as `evidence.controls.Stratum`, by all of their answers),
        draws (answers to a sample, the fewest that one of them has), smallest_p =
        1 / (controls + 1), and needed: how many controls would support alpha (of the one that
        retrieves there are no more).
    """
    evidence = known_evidence(prepared, prepared.study.sampling.draws)
    counted = controls.sizes(evidence[~evidence["member"]]).rename("controls").reset_index()
    fewest = _fewest_draws(prepared).groupby(controls.STRATUM).min().rename("draws")
    counted = counted.merge(fewest, on=controls.STRATUM, how="left")
    return counted.assign(smallest_p=1 / (counted["controls"] + 1), needed=ceil(1 / alpha) - 1)


def strength(prepared: Prepared, alpha: float = 0.05) -> pd.DataFrame:
    """Tell what the tainted samples and the controls can carry.

    Returns columns what, have, enough (yes | weak | no), why: the vote, the rank by kind and base
    of the controls, the kinds of innocents that are missing, and the finding that all allow.
    """
    table = strata(prepared, alpha)
    draws = prepared.study.sampling.draws
    rows = [_vote(prepared), *_strata(table, draws, alpha), *_missing(table)]
    rows.append(_finding(prepared, table, alpha))
    return pd.DataFrame(rows, columns=["what", "have", "enough", "why"])


Row = tuple[str, str, str, str]


def _vote(prepared: Prepared) -> Row:
    tainted, mu = prepared.tainted, prepared.study.profile.decision.mu
    have = f"{len(tainted)} of {len(prepared.samples)} samples tainted"
    short = int(usable.short(tainted, mu).sum())
    if short:
        have += f", {short} with outputs under {mu} bytes"
    count, called = len(tainted) - short, len(accused(prepared))
    if not count:
        enough = "no"
        why = "who repeats them gives no evidence" if short else "no sample to ask about"
    elif count < WEAK_UNDER:
        enough, why = "weak", f"under {WEAK_UNDER} samples, single answers decide"
    elif called:
        enough, why = "weak", f"it calls {called} of these innocents members"
    else:
        enough, why = "yes", "an odd answer cannot decide it; it has no error rate"
    return "vote (§5.4)", have, enough, why


def _strata(table: pd.DataFrame, draws: int, alpha: float) -> list[Row]:
    rows = []
    for row in table.to_dict("records"):
        needed = f"alpha {alpha:g} needs {row['needed']}"
        if row["group"] == innocents.RETRIEVAL:
            needed = "there is one of this kind, so no rank is a finding"
        why = f"smallest possible p {row['smallest_p']:.3g}; {needed}"
        if row["draws"] < draws:  # the best of its answers counts
            fewer = row["draws"]
            why += f"; {fewer} of {draws} answers to a prompt: an audit asks for no more"
        enough = "yes" if row["smallest_p"] <= alpha else "no"
        rows.append((f"controls: {row['group']}, {row['base']}", str(row["controls"]), enough, why))
    return rows


def _missing(table: pd.DataFrame) -> list[Row]:
    """The kinds of hard innocents that there are none of, and the option that brings them."""
    options = {
        LIKE_D: "--iid FILE, or a larger D that is split",
        innocents.OTHER_WORDS: "--other-words FILE",
        innocents.ANSWERS: "--control-answers FILE",
        innocents.RETRIEVAL: "prepare again with --out, as earlier versions left it out",
    }
    return [
        (f"controls: {kind}", "none", "no", f"an innocent of this kind may rank first; {option}")
        for kind, option in options.items()
        if kind not in set(table["group"])
    ]


def _finding(prepared: Prepared, table: pd.DataFrame, alpha: float) -> Row:
    what = "finding among controls"
    mu = prepared.study.profile.decision.mu
    count = int((~usable.short(prepared.tainted, mu)).sum())
    if table.empty or count < controls.MIN_SAMPLES:
        needs = f"{controls.MIN_SAMPLES} tainted samples with outputs of {mu} bytes or more"
        return what, "none", "no", f"needs controls and {needs}"
    supports = controls.supports(table["controls"])
    return (
        what,
        f"alpha {supports:.3g} or more",
        "yes" if supports <= alpha else "no",
        'the largest p over kinds and bases counts; it says "answers more like a model tuned on D '
        'than these controls", never "trained"',
    )


def blind_table(prepared: Prepared) -> pd.DataFrame:
    """Show the blind checks: against, auc, low, high, p, noticed, pairs (of D), other (pairs)."""
    rows = [(c.name, c.auc, c.low, c.high, c.p, c.noticed, *c.pairs) for c in prepared.facts.blind]
    numbers = ["auc", "low", "high", "p", "noticed"]
    return pd.DataFrame(rows, columns=["against", *numbers, "pairs", "other"])


def suspect_answers(prepared: Prepared) -> pd.DataFrame:
    """Give the known models' responses that can be evidence, as `study.suspect_gaps` has them."""
    kept = prepared.known["status"].isin([AnswerStatus.ANSWERED, AnswerStatus.SHORT])
    return prepared.known[kept].drop(columns=["member", "group", "base", "status"])


def describe(prepared: Prepared, alpha: float = 0.05) -> str:
    """Say what a preparation found, in a few lines for the terminal."""
    facts, place = prepared.facts, prepared.folder.resolve()
    if place.is_relative_to(ROOT):  # visitors of `make app` need not know the rest
        place = place.relative_to(ROOT)
    means = prepared.scores.groupby("reference")[["before", "after"]].mean()
    learnt = [
        f"{name} repeats the oracle at {before:.2f} before and {after:.2f} after tuning"
        for name, before, after in means.itertuples()
    ]
    parts = [
        f"{place}: {len(prepared.tainted)} of {len(prepared.samples)} samples are "
        f"tainted; {'; '.join(learnt)} (mean similarity, 1 = word for word)"
    ]
    if facts.split is not None:
        parts.append(f"{halves(prepared)} {split.OTHERWISE}")
    parts += [f"dropped: {count} {why}" for why, count in facts.dropped.items() if count]
    parts += [
        f"answers of {name}: {_answers(said, len(prepared.tainted))}"
        for name, said in facts.control_answers.items()
    ]
    if facts.left_out:
        names = ", ".join(facts.left_out)
        parts.append(f"control left out, as its training data is missing or part of yours: {names}")
    parts += [f"blind check, D against {check.name}: {_told_apart(check)}" for check in facts.blind]
    parts.append(strength(prepared, alpha).to_string(index=False))
    return "\n".join(parts)


def halves(prepared: Prepared) -> str:
    """Say how D was split; "" where it was not."""
    found = prepared.facts.split
    return "" if found is None else split.in_words(found, prepared.study.profile.seed)


def _answers(said: Answers, tainted: int) -> str:
    others = f"; {said.others}" if said.others else ""
    return f"to {said.samples} of {tainted} tainted samples{others}"


def _told_apart(check: Compared) -> str:
    if check.auc is None or check.p is None:
        return "too few pairs"
    said = f"AUC {check.auc:.2f} ({check.low:.2f} to {check.high:.2f}), p = {check.p:.2g}"
    if check.p <= blind.ALPHA:
        return f"{said}: a text classifier can tell them apart, so controls on them are easy ones"
    return f"{said}; {check.noticed:.2f} would have been noticed with probability {blind.POWER:g}"
