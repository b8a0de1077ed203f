"""What grey-box methods come to: rates and p-values of the attacks and of DIA, beside the vote."""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
import pandas as pd

from dsi_core.evidence import intervals, ranks
from dsi_core.grey_box import attacks, dia
from dsi_core.grey_box.attacks import Access, Attack, Needs
from dsi_core.grey_box.compared import Part, settings
from dsi_core.grey_box.scoring import KEYS, READ, View, plain
from dsi_core.method import study
from dsi_core.method.participants import Membership
from dsi_core.method.study import Study
from dsi_core.models import token_logprobs
from dsi_core.models.token_logprobs import Variant
from dsi_core.settings.extensions import GreyBox

BLACK_BOX = "black-box dataset inference"


class Features(StrEnum):
    """What DIA's linear model sees; values as in tables."""

    FEW = "few"  # the attacks on a text's own losses, and the references
    RELEASED = "released"  # the released code's 16

    @property
    def method(self) -> str:
        """What tables call DIA on these."""
        return f"DIA ({self})"


def measured(run: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """Measure how well each attack tells D from validation.

    Parameters
    ----------
    scores
        As `scoring.scores` returns them.

    Returns
    -------
    pandas.DataFrame
        dataset, suspect, group, member, view, attack, samples, validation (counts), auc (AUROC;
        0.5 = not at all, above = D looks more familiar), low and high (95%, `newcombe`), tpr_at_1
        and tpr_at_5 (share of D above all but 1% and 5% of validation), p (one-sided Mann-Whitney
        test of the same), d (Cohen's), and p_control (the same test of one random half of
        validation against the other).
    """
    rows = []
    identity = [*KEYS, "view", "attack"]
    for values, table in scores.groupby(identity, sort=False):
        d = table.loc[table["part"] == Part.D, "score"].to_numpy()
        validation = table.loc[table["part"] == Part.VALIDATION, "score"].to_numpy()
        first, second = dia.halves(len(validation), np.random.default_rng(run.profile.seed))
        auroc = ranks.auroc(d, validation)
        low, high = intervals.newcombe(auroc, len(d), len(validation))
        rows.append(
            {
                **dict(zip(identity, values, strict=True)),
                "samples": len(d),
                "validation": len(validation),
                "auc": auroc,
                "low": low,
                "high": high,
                "tpr_at_1": tpr(d, validation, 0.01),
                "tpr_at_5": tpr(d, validation, 0.05),
                "p": ranks.mann_whitney(d, validation),
                "d": dia.cohens_d(d, validation),
                "p_control": ranks.mann_whitney(validation[first], validation[second]),
            }
        )
    return pd.DataFrame(rows)


def by_group(measured: pd.DataFrame) -> pd.DataFrame:
    """Show each attack's AUROC over the suspects of a group.

    Returns view, attack, group, suspects (how many), median, lowest, highest.
    """
    groups = measured.groupby(["view", "attack", "group"], sort=False)["auc"]
    table = groups.agg(["size", "median", "min", "max"]).reset_index()
    return table.rename(columns={"size": "suspects", "min": "lowest", "max": "highest"})


def side_by_side(by_group: pd.DataFrame, measured: pd.DataFrame) -> pd.DataFrame:
    """Lay each attack's AUROCs side by side, and count the innocent suspects on each side of 0.5.

    Parameters
    ----------
    by_group, measured
        As the functions of these names return them, of one view for each attack.

    Returns
    -------
    pandas.DataFrame
        attack; for each group the median AUROC, "(lowest to highest)" of several suspects; above
        0.5, at 0.5 and below 0.5: how many non-members.
    """
    several = by_group["suspects"] > 1
    medians, lowest, highest = (
        by_group[name].map("{:.2f}".format) for name in ("median", "lowest", "highest")
    )
    said = medians.where(~several, medians + " (" + lowest + " to " + highest + ")")
    wide = by_group.assign(said=said).pivot(index="attack", columns="group", values="said")
    innocent = measured[~measured["member"]]
    side = np.sign(innocent["auc"] - 0.5).map({1.0: "above 0.5", 0.0: "at 0.5", -1.0: "below 0.5"})
    counts = pd.crosstab(innocent["attack"], side)
    counts = counts.reindex(columns=["above 0.5", "at 0.5", "below 0.5"], fill_value=0)
    both = wide[by_group["group"].unique()].join(counts)
    return both.loc[by_group["attack"].unique()].rename_axis(columns=None).reset_index()


def tpr(one: np.ndarray, other: np.ndarray, fpr: float) -> float:
    """Give the share of `one` above a threshold that at most the share `fpr` of `other` passes."""
    return float(np.mean(one > threshold(other, fpr)))


def threshold(scores: np.ndarray, fpr: float) -> float:
    """Give the lowest of `scores` above which at most the share `fpr` of them lies."""
    return float(np.sort(scores)[::-1][int(fpr * len(scores))])


# DIA


def dataset_inference(
    studies: Sequence[Study], values: pd.DataFrame, scores: pd.DataFrame
) -> pd.DataFrame:
    """Run DIA on every suspect, for several random splits.

    Parameters
    ----------
    values, scores
        As `collect.token_values` and `scoring.scores` return them.

    Returns
    -------
    pandas.DataFrame
        dataset, suspect, group, member, view, features (`Features`), seed (one row per split), p, d
        (of the suspect set's held-out scores), p_control, d_control.
    """
    profile = studies[0].profile
    grey_box = settings(profile)
    originals = values[values["variant"] == Variant.ORIGINAL]
    rows = []
    read = scores[scores["view"].isin(READ)]
    for identity, of_suspect in read.groupby([*KEYS, "view"], sort=False):
        named = dict(zip([*KEYS, "view"], identity, strict=True))
        its_own = (originals["dataset"] == named["dataset"]) & (
            originals["model"] == named["suspect"]
        )
        own = originals[its_own & ~originals["reference"]].reset_index(drop=True)
        for kind, table in _features(own, of_suspect, View(str(named["view"]))).items():
            d, validation = (table[own["part"] == p] for p in (Part.D, Part.VALIDATION))
            for seed in range(profile.seed, profile.seed + grey_box.splits):
                split = dia.test(d, validation, seed=seed, ridge=grey_box.ridge)
                control = dia.control(validation, seed=seed, ridge=grey_box.ridge)
                rows.append(
                    {
                        **named,
                        "features": str(kind),
                        "seed": seed,
                        "p": split.p,
                        "d": split.d,
                        "p_control": control.p,
                        "d_control": control.d,
                    }
                )
    return pd.DataFrame(rows)


def _features(values: pd.DataFrame, scores: pd.DataFrame, view: View) -> dict[Features, np.ndarray]:
    """DIA's features of one suspect's texts, shape (texts, features), in the order of `values`."""
    few = scores[scores["kind"].isin(attacks.ON_EVERY_TEXT)]
    wide = few.pivot(index="sample_id", columns="attack", values="score")
    x = token_logprobs.padded(values, with_prompt=view is View.TEXT)
    return {
        Features.FEW: wide.loc[values["sample_id"]].to_numpy(),
        Features.RELEASED: dia.features(x.logprobs, x.mask, plain(values, view)).to_numpy(),
    }


def over_splits(splits: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """Put `dataset_inference` together over its splits, which share samples.

    Returns
    -------
    pandas.DataFrame
        dataset, suspect, group, member, view, features; median p, d, p_control and d_control; the
        shares of p below 0.05 and 0.1 (and of p_control below 0.1); p_valid = min(1, 2 x median p)
        and the verdict "member" where it is at most alpha.

    References
    ----------
    Twice the median of p-values is a valid p-value, however they depend on each other (Ruger 1978);
    the median itself is not.
    """
    identity = [*KEYS, "view", "features"]
    medians = ["p", "d", "p_control", "d_control"]
    below = {
        "share_below_0.05": splits["p"] < 0.05,
        "share_below_0.1": splits["p"] < 0.1,
        "control_below_0.1": splits["p_control"] < 0.1,
    }
    shares = splits[identity].assign(**below).groupby(identity, sort=False).mean()
    table = splits.groupby(identity, sort=False)[medians].median().join(shares)
    table["p_valid"] = np.minimum(1.0, 2 * table["p"])
    return table.assign(verdict=_called(table["p_valid"], alpha)).reset_index()


def _called(p: pd.Series, alpha: float) -> np.ndarray:
    """The verdict of a test on each row: "member" where p is at most alpha."""
    return np.where(p <= alpha, str(Membership.MEMBER), str(Membership.NON_MEMBER))


# Beside the black box


def black_box(studies: Sequence[Study]) -> pd.DataFrame:
    """Give `study.verdicts` of every suspect of every study (Tables 6 and 7), through the store."""
    tables = []
    for run in studies:
        scores = study.reference_scores(run)
        tables.append(study.verdicts(run, scores, study.suspect_gaps(run, scores)))
    return pd.concat(tables, ignore_index=True)


def methods(grey_box: GreyBox) -> dict[str, Needs]:
    """Give what every method needs to see and know, by its name in tables."""
    needs = {BLACK_BOX: Needs(Access.TEXT, "text alone; reference models tuned on D and not")}
    needs |= {features.method: dia.NEEDS for features in Features}
    needs |= {str(kind): attacks.NEEDS[kind] for kind in Attack if kind is not Attack.REFERENCE}
    needs |= {attacks.named(b): attacks.NEEDS[Attack.REFERENCE] for b in grey_box.references}
    return needs


def beside(
    run: Study, measured: pd.DataFrame, inferred: pd.DataFrame, verdicts: pd.DataFrame
) -> pd.DataFrame:
    """Lay every method's verdict on every suspect beside the vote's.

    An attack says "member" when its rank test's p is at most the profile's grey_box.alpha, DIA when
    p_valid is; both on the answers given the prompts.

    Parameters
    ----------
    measured, inferred, verdicts
        As `measured`, `over_splits` and `black_box` return them.

    Returns
    -------
    pandas.DataFrame
        dataset, suspect, group, member, method, access, p (NaN: the vote has none), verdict,
        correct.
    """
    grey_box = settings(run.profile)
    needs = methods(grey_box)
    votes = verdicts.assign(method=BLACK_BOX, p=np.nan)
    dias = inferred[inferred["view"] == View.ANSWER]
    dias = dias.assign(method=dias["features"].map(lambda f: Features(f).method), p=dias["p_valid"])
    tests = measured[measured["view"] != View.TEXT].rename(columns={"attack": "method"})
    tests = tests.assign(verdict=_called(tests["p"], grey_box.alpha))
    columns = [*KEYS, "method", "p", "verdict"]
    table = pd.concat([votes[columns], dias[columns], tests[columns]], ignore_index=True)
    table.insert(5, "access", [str(needs[method].access) for method in table["method"]])
    truth = table["member"].map(Membership.of)
    return table.assign(correct=table["verdict"] == truth)


def tally(run: Study, beside: pd.DataFrame) -> pd.DataFrame:
    """Count `beside`: method, access, needs, and for each group of suspects "right of all"."""
    counts = beside.groupby(["method", "group"], sort=False)["correct"].agg(["sum", "size"])
    texts = counts["sum"].astype(str) + "/" + counts["size"].astype(str)
    wide = texts.unstack(sort=False)
    wide = wide.loc[beside["method"].unique(), beside["group"].unique()].fillna("").reset_index()
    needs = methods(settings(run.profile))
    wide.insert(1, "access", [str(needs[method].access) for method in wide["method"]])
    wide.insert(2, "needs", [needs[method].knowledge for method in wide["method"]])
    wide.columns.name = None
    return wide
