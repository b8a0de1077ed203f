"""Number 3, against a private twin: the owner kept a random part of the data unpublished; does M know the published part better?

If M never saw D, a coin that decided before the release which sample is published tells nothing about M's answers: given
the answers, every way to deal out the labels "published" and "withheld" is equally likely. Both tests below are exact
under that alone, for any model, any data and any number of samples. (The references are tuned on both parts alike, and
nothing before this step looks at the labels.)
"""

from bisect import bisect_left, bisect_right

import numpy as np
import pandas as pd
from scipy import stats

BETS = np.array(
    [0.5, 1.0, 2.0, 4.0, 8.0]
)  # how strongly high evidence is taken for "published"; wealth is spread over them evenly


def difference(evidence: np.ndarray, published: np.ndarray) -> float:
    """Mean evidence of the published samples less that of the withheld ones (higher = M knows the published part better)."""
    return float(np.mean(evidence[published]) - np.mean(evidence[~published]))


def permutation(
    evidence: np.ndarray, published: np.ndarray, seed: int = 0, permutations: int = 9999
) -> float:
    """One-sided p-value of `difference`, shape of both arguments (samples,): the share of label deals with a difference as large.

    Exact for few samples; else of this many random deals, counting the true one (never 0). NaN where a part is empty.
    For a number of samples fixed in advance; `wealth` is for stopping early. Source: Fisher's randomisation test.
    """
    evidence, published = np.asarray(evidence, float), np.asarray(published, bool)
    if published.all() or not published.any():
        return float("nan")
    if 1 in (
        published.sum(),
        (~published).sum(),
    ):  # scipy wants two of each; the mean is then a matter of the one's rank
        return float(
            np.mean(evidence >= evidence[published])
            if published.sum() == 1
            else np.mean(evidence <= evidence[~published])
        )
    return float(
        stats.permutation_test(
            (evidence[published], evidence[~published]),
            lambda a, b, axis: np.mean(a, axis=axis) - np.mean(b, axis=axis),
            vectorized=True,
            alternative="greater",
            n_resamples=permutations,
            rng=np.random.default_rng(seed),
        ).pvalue
    )


def wealth(evidence: np.ndarray, published: np.ndarray, in_all: tuple[int, int]) -> np.ndarray:
    """Wealth of a gambler who bets on each label after seeing the evidence, shape (samples,); starts at 1, higher = against innocence.

    Samples in the order asked, which must be random; evidence NaN (nothing usable was answered) = no bet. in_all: how many
    samples could be asked, (published, withheld), whether or not they were. Before label t an innocent model's is
    "published" with chance q = published left / all left, whatever the evidence; the gambler's odds are those of
    logit(p) = logit(q) + b z, where z in [-1, 1] is the rank of the evidence among that seen so far and b one of `BETS`. So his
    wealth is a martingale, and the chance that it ever reaches 1 / alpha is at most alpha (Ville 1939).
    Source: betting on labels, Podkopaev and Ramdas, "Sequential predictive two-sample and independence testing" (2023);
    sampling without replacement, Waudby-Smith and Ramdas (2020). Differs: the predictor is a rank, one-sided.
    """
    left, money, path, seen = list(in_all), np.ones(len(BETS)), [], []
    for value, is_published in zip(np.asarray(evidence, float), np.asarray(published, bool)):
        q = left[0] / sum(left)
        left[not is_published] -= 1
        if min(left) < 0:
            raise ValueError(f"more samples than in_all = {in_all} says there are")
        if not np.isnan(value):
            rank = (bisect_left(seen, value) + bisect_right(seen, value) + 1) / (2 * len(seen) + 2)
            seen.insert(bisect_right(seen, value), value)
            odds = np.exp(BETS * (2 * rank - 1))
            money = money * (odds if is_published else 1.0) / (q * odds + 1 - q)
        path.append(money.mean())
    return np.array(path)


def test(
    table: pd.DataFrame, in_all: tuple[int, int], planned: int, seed: int = 0, *, may_stop: bool
) -> dict:
    """The twin's numbers for the samples asked so far (columns evidence, published; in the order asked).

    planned: samples to ask, as fixed before the first answer. may_stop: fewer, or more, may be asked depending on the evidence.
    Returns published and withheld (samples with evidence), difference, wealth (now), largest (so far), p_sequential = 1 / largest,
    p_permutation (of the first `planned` samples; NaN before all of them were asked, unless nothing may stop), and p, the one to
    report: p_permutation if nothing may stop; else twice the smaller of both (Bonferroni), which is valid whenever one stops.
    """
    told = table.dropna(subset="evidence")
    evidence, published = told["evidence"].to_numpy(), told["published"].to_numpy(bool)
    path = wealth(table["evidence"], table["published"], in_all)
    largest = max(1.0, path.max(initial=1.0))
    fixed = table.head(planned).dropna(subset="evidence")
    looked = len(table) >= planned or not may_stop
    exact = (
        permutation(fixed["evidence"].to_numpy(), fixed["published"].to_numpy(bool), seed)
        if looked
        else float("nan")
    )
    p = (
        min(1.0, 2 * np.nanmin([1 / largest, exact]))
        if may_stop
        else 1.0
        if np.isnan(exact)
        else exact
    )
    return {
        "published": int(published.sum()),
        "withheld": int((~published).sum()),
        "difference": difference(evidence, published)
        if 0 < published.sum() < len(published)
        else float("nan"),
        "wealth": float(path[-1]) if len(path) else 1.0,
        "largest": float(largest),
        "p_sequential": float(1 / largest),
        "p_permutation": exact,
        "planned": planned,
        "p": float(p),
    }


def compare(
    evidence: pd.DataFrame, in_all: tuple[int, int], alpha: float, seed: int = 0
) -> pd.DataFrame:
    """`test` of every model, once all is asked and stopping allowed, and when it would have stopped.

    evidence: columns model, member, part, evidence, each model's samples in the order asked. Returns model, member, `test`'s numbers,
    sure_after (samples asked when the wealth suffices for alpha; None = never) and of (samples there are).
    """
    rows = []
    for (name, member), part in evidence.groupby(["model", "member"], sort=False):
        table = part.assign(published=part["part"] == "published")
        crossed = np.flatnonzero(wealth(table["evidence"], table["published"], in_all) >= 2 / alpha)
        rows.append(
            {
                "model": name,
                "member": member,
                **test(table, in_all, sum(in_all), seed, may_stop=True),
                "sure_after": int(crossed[0]) + 1 if len(crossed) else None,
                "of": sum(in_all),
            }
        )
    return pd.DataFrame(rows)
