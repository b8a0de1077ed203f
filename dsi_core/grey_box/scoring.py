"""Every score of every attack, from what the suspects read and said."""

from collections.abc import Hashable, Sequence
from enum import StrEnum

import numpy as np
import pandas as pd

from dsi_core.grey_box import attacks
from dsi_core.grey_box.attacks import Attack
from dsi_core.grey_box.compared import SAMPLE, settings
from dsi_core.method import participants, study
from dsi_core.method.study import Study
from dsi_core.models import token_logprobs
from dsi_core.models.token_logprobs import Variant
from dsi_core.settings.extensions import GreyBox

KEYS = ["dataset", "suspect", "group", "member"]


class View(StrEnum):
    """What of a sample a score is about; values as in tables."""

    ANSWER = "answer"  # the answer given the prompt, without its end token
    TEXT = "text"  # prompt and answer, template included, from the second token on
    SAMPLED = "sampled"  # what the suspect says to the prompt


READ = [View.ANSWER, View.TEXT]


def scores(studies: Sequence[Study], values: pd.DataFrame, responses: pd.DataFrame) -> pd.DataFrame:
    """Score every sample by every attack.

    Lowercase and neighbours change only the answer and have only the view "answer"; SaMIA and CDD
    have the view "sampled" and give no scores at temperature 0.

    Parameters
    ----------
    values, responses
        As `collect.token_values` and `collect.answers` return them.

    Returns
    -------
    pandas.DataFrame
        dataset, suspect, group, member, view (`View`), kind (`Attack`), attack (its name, with the
        base of a reference), part, sample_id, score (higher = likelier a member).
    """
    grey_box = settings(studies[0].profile)
    truth = pd.concat([study.suspects(run) for run in studies], ignore_index=True)
    of_bases = values[values["reference"]]
    models = [p for run in studies for p in participants.suspects(run.profile)]
    bases = {(p.dataset, p.model_id): attacks.named(p.trained.base) for p in models}
    tables = []
    of_suspects = values[~values["reference"]]
    for (victim, suspect), own in of_suspects.groupby(["dataset", "model"], sort=False):
        untuned = of_bases[of_bases["dataset"] == victim]
        base = untuned[untuned["model"] == bases[str(victim), str(suspect)]]
        for view in READ:
            table = _by_probabilities(own, untuned, view, grey_box)
            table = pd.concat([table, _beside_base(own, base, view)], ignore_index=True)
            tables.append(_of(table, victim, suspect, view))
    for (victim, suspect), own in responses.groupby(["dataset", "suspect"], sort=False):
        if own["greedy"].all():
            continue  # at temperature 0 nothing is sampled that SaMIA and CDD could compare
        table = _by_answers(own, grey_box.peak)
        tables.append(_of(table, victim, suspect, View.SAMPLED))
    table = truth.merge(pd.concat(tables, ignore_index=True), on=["dataset", "suspect"])
    return table[[*KEYS, "view", "kind", "attack", *SAMPLE, "score"]]


def _of(scores: pd.DataFrame, victim: Hashable, suspect: Hashable, view: View) -> pd.DataFrame:
    return scores.assign(dataset=str(victim), suspect=str(suspect), view=str(view))


def _by_probabilities(
    values: pd.DataFrame, untuned: pd.DataFrame, view: View, grey_box: GreyBox
) -> pd.DataFrame:
    """One suspect's scores by the attacks that see token probabilities, less its identity."""
    k = grey_box.k
    original = values[values["variant"] == Variant.ORIGINAL].reset_index(drop=True)
    x = token_logprobs.padded(original, with_prompt=view is View.TEXT)
    own = attacks.mean_logprob(x.logprobs, x.mask)
    size = attacks.per_zlib_byte(x.logprobs, x.mask, plain(original, view))
    spread = attacks.min_k_plus_plus(x.logprobs, x.means, x.stds, x.mask, k)
    tables = [
        _scored(original, Attack.LOSS, own),
        _scored(original, Attack.ZLIB, size),
        _scored(original, Attack.MIN_K, attacks.min_k(x.logprobs, x.mask, k)),
        _scored(original, Attack.MIN_K_PLUS_PLUS, spread),
    ]
    for name in map(attacks.named, grey_box.references):
        of_reference = untuned[untuned["model"] == name]
        score = attacks.reference(own, _means(original, of_reference, view))
        tables.append(_scored(original, Attack.REFERENCE, score, name))
    compared = values[values["variant"] == Variant.RECALL].reset_index(drop=True)
    if compared.empty:
        return pd.concat(tables, ignore_index=True)
    own = pd.Series(own, index=original["sample_id"]).loc[compared["sample_id"]].to_numpy()
    after_prefix = _means(compared, compared, view)
    tables.append(_scored(compared, Attack.RECALL, attacks.recall(own, after_prefix)))
    if view is View.ANSWER:
        lowered = _means(compared, values[values["variant"] == Variant.LOWERCASE], view)
        tables.append(_scored(compared, Attack.LOWERCASE, attacks.lowercase(own, lowered)))
        neighbours = values[values["variant"] == Variant.NEIGHBOUR]
        numbered = [_means(compared, n, view) for _, n in neighbours.groupby("number")]
        score = attacks.neighbourhood(own, np.stack(numbered, axis=1))
        tables.append(_scored(compared, Attack.NEIGHBOURS, score))
    return pd.concat(tables, ignore_index=True)


def _beside_base(values: pd.DataFrame, base: pd.DataFrame, view: View) -> pd.DataFrame:
    """One suspect's scores by the attacks that compare its tokens with its own base's."""
    original = values[values["variant"] == Variant.ORIGINAL].reset_index(drop=True)
    x, before = (
        token_logprobs.padded(table, with_prompt=view is View.TEXT)
        for table in (original, _ordered(original, base))
    )
    assert (x.mask == before.mask).all(), "a suspect and its base have one tokenizer"
    moved = x.logprobs - before.logprobs
    mispredicted = attacks.surely_mispredicted(x.logprobs, x.means)
    return pd.concat(
        [
            _scored(original, Attack.WBC, attacks.windows(moved, x.mask)),
            _scored(original, Attack.EZ_MIA, attacks.error_zone(moved, mispredicted)),
        ],
        ignore_index=True,
    )


def _scored(
    samples: pd.DataFrame, kind: Attack, score: np.ndarray, name: str | None = None
) -> pd.DataFrame:
    return samples[SAMPLE].assign(kind=str(kind), attack=name or str(kind), score=score)


def _means(samples: pd.DataFrame, values: pd.DataFrame, view: View) -> np.ndarray:
    """Mean log-probabilities of `values`, in the order of `samples`."""
    x = token_logprobs.padded(_ordered(samples, values), with_prompt=view is View.TEXT)
    return attacks.mean_logprob(x.logprobs, x.mask)


def _ordered(samples: pd.DataFrame, values: pd.DataFrame) -> pd.DataFrame:
    """`values` in the order of `samples`."""
    ordered = samples[["sample_id"]].merge(values, on="sample_id", validate="1:1")
    assert len(ordered) == len(samples), f"{len(ordered)} readings of {len(samples)} samples"
    return ordered


def plain(samples: pd.DataFrame, view: View) -> list[str]:
    """Give the plain text of a view (columns prompt, output), whose bytes zlib counts."""
    if view is View.TEXT:
        return (samples["prompt"] + "\n\n" + samples["output"]).tolist()
    return samples["output"].tolist()


def _by_answers(responses: pd.DataFrame, peak: float) -> pd.DataFrame:
    """One suspect's scores by the attacks on sampled answers, less its identity."""
    rows = []
    for (part, sample_id, output), some in responses.groupby([*SAMPLE, "output"], sort=False):
        greedy = some.loc[some["greedy"], "response"].iloc[0]
        sampled = some.loc[~some["greedy"], "response"].tolist()
        for kind, score in (
            (Attack.SAMIA, attacks.samia(sampled, str(output))),
            (Attack.CDD, attacks.cdd(sampled, greedy, peak)),
        ):
            rows.append((part, sample_id, str(kind), str(kind), score))
    return pd.DataFrame(rows, columns=[*SAMPLE, "kind", "attack", "score"])
