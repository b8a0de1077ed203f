"""What a preparation can carry: a vote, a rank among controls, a finding; and how that is said."""

from math import ceil

import pandas as pd

from dsi_core.audit.preparation import innocents, split, usable
from dsi_core.audit.preparation.prepared import Prepared, halves, known_evidence
from dsi_core.audit.preparation.prepared_json import Answers, Compared
from dsi_core.data.common_words import is_blank
from dsi_core.evidence import blind, controls, permutation
from dsi_core.method.verdict import Status
from dsi_core.runtime.paths import ROOT

WEAK_UNDER = 10  # tainted samples
NAMED = 5  # innocents that the vote calls members
NOTHING_FOUND = (
    "; every other output nearly repeats the sample's own, as in data of one template: --iid with "
    "other texts of the kind gives it something to find"
)
LIKE_D = "data like D"  # the kind of those controls, as profiles call it

Row = tuple[str, str, str, str]


def table(prepared: Prepared, alpha: float = 0.05) -> pd.DataFrame:
    """Tell what the tainted samples and the controls can carry.

    Returns columns what, have, enough (yes | weak | no), why: the vote, the rank by kind and base
    of the controls, the kinds of innocents that are missing, and the finding that all allow.
    """
    counted = strata(prepared, alpha)
    draws = prepared.study.sampling.draws
    rows = [_vote(prepared), *_strata(counted, draws, alpha), *_missing(counted)]
    rows.append(_finding(prepared, counted, alpha))
    return pd.DataFrame(rows, columns=["what", "have", "enough", "why"])


def strata(prepared: Prepared, alpha: float = 0.05) -> pd.DataFrame:
    """Tell how many controls there are of each kind and base, and what a rank among them can be.

    Returns
    -------
    pandas.DataFrame
        Columns group, base, controls (as `evidence.controls.Stratum`, with as many answers as an
        audit asks for), draws (the fewest answers of one of them to a sample), smallest_p = 1 /
        (controls + 1), and needed: how many controls would support alpha (there is never more than
        one that retrieves).
    """
    evidence = known_evidence(prepared, draws_allowed(prepared)[0])
    counted = controls.sizes(evidence[~evidence["member"]]).rename("controls").reset_index()
    fewest = _fewest_draws(prepared).groupby(controls.STRATUM).min().rename("draws")
    counted = counted.merge(fewest, on=controls.STRATUM, how="left")
    return counted.assign(smallest_p=1 / (counted["controls"] + 1), needed=ceil(1 / alpha) - 1)


def draws_allowed(prepared: Prepared) -> tuple[int, str]:
    """Give how many answers to a prompt an audit may ask for, and by which control; "" = by none.

    As many as the profile says, but no more than the fewest that a control gave to a sample: the
    closest answer counts, and the best of many is closer than the best of few.
    """
    most = prepared.study.profile.responses.draws
    fewest = _fewest_draws(prepared).droplevel([*controls.STRATUM])
    if fewest.empty or fewest.min() >= most:
        return most, ""
    return int(fewest.min()), str(fewest.idxmin())


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
    """Say what a finished preparation cannot carry; a sentence each."""
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
    if idle := _idle(prepared):
        said.append(
            f"{', '.join(idle)}: no control, as fewer than {controls.MIN_SAMPLES} samples have "
            "answers of it that can be evidence"
        )
    return said


def _idle(prepared: Prepared) -> list[str]:
    """Innocents that do not count as controls, of kinds of which others do."""
    evidence = known_evidence(prepared, draws_allowed(prepared)[0]).query("not member")
    usable = evidence.groupby([*controls.STRATUM, "model"])["evidence"].count()
    counts = usable >= controls.MIN_SAMPLES
    beside = counts.groupby(controls.STRATUM).transform("any")
    return usable[beside & ~counts].index.get_level_values("model").tolist()


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
    parts.append(table(prepared, alpha).to_string(index=False))
    return "\n".join(parts)


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


def _fewest_draws(prepared: Prepared) -> pd.Series:
    """The answers of each innocent to the sample that it answered the fewest times.

    By suspect, group and base; a sample that it did not answer at all is none.
    """
    innocent = prepared.known[~prepared.known["member"].astype(bool)]
    who = ["suspect", *controls.STRATUM]
    return innocent.groupby([*who, "sample_id"])["draw"].nunique().groupby(who).min()


def _answers(said: Answers, tainted: int) -> str:
    others = f"; {said.others}" if said.others else ""
    return f"to {said.samples} of {tainted} tainted samples{others}"


def _told_apart(check: Compared) -> str:
    if check.auc is None or check.p is None:
        return "too few pairs"
    said = f"AUC {check.auc:.2f} ({check.low:.2f} to {check.high:.2f}), p = {check.p:.2g}"
    if check.p <= blind.ALPHA:
        return f"{said}: a text classifier can tell them apart, so controls on them are easy ones"
    power = f"probability {permutation.POWER:g}"
    return f"{said}; {check.noticed:.2f} would have been noticed with {power}"
