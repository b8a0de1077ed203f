"""Beside the exact tests, on the same models: the paper's vote, its statistic, SaMIA and DIA.

The references of the vote are tuned on the D of one draw. The private twin's withheld half, which
nobody trained on, is the validation set that DIA asks for.
"""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
import pandas as pd

from dsi_core.calibration import models, tables
from dsi_core.calibration.calibrated import Calibrated
from dsi_core.calibration.draws import Draw
from dsi_core.calibration.models import Kind, Model
from dsi_core.data.pairs import load_pairs
from dsi_core.evidence import controls, ranks
from dsi_core.grey_box import attacks, dia
from dsi_core.method import accusation, pending, study, verdict
from dsi_core.method.study import Study
from dsi_core.models import load, token_logprobs
from dsi_core.models.token_logprobs import Variant
from dsi_core.runtime import jobs, store
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Rule

SPLITS = 10  # of DIA


class Method(StrEnum):
    """How a model is judged, beside the two exact tests, which have their kits' names."""

    VOTE = "the vote"
    RANK = "rank among innocents"
    SAMIA = "SaMIA"
    DIA = "DIA"


def compare(run: Calibrated, alpha: float) -> pd.DataFrame:
    """Judge every model of `beside_draw` by every method.

    The exact tests are asked as an audit of a kit asks, the others as the profile does.

    Returns
    -------
    pandas.DataFrame
        model, kind, method, p (NaN = the method has none), score (as `votes`, `samia` and
        `dataset_inference` have it; of the exact tests the effect; higher = more like a member),
        accused (p at most alpha; of the vote: more positive than negative samples). A model has no
        row for a method that cannot see it, nor if its answers are in a file and were to other
        draws' prompts (`Calibrated.answering`).

    Raises
    ------
    ValueError
        Where the profile names no such draw.
    """
    how = models.how(run.profile)
    if how.beside_draw is None:
        raise ValueError(f"profile {run.profile.name!r}: calibration has no beside_draw")
    drawn = run.drawn[how.beside_draw]
    rows = drawn.rows["row"]
    answers = run.sampled[run.sampled["row"].isin(rows)]
    known = [*models.of_draw(run.profile, drawn), *models.innocents(run.profile)]
    names = [*(m.name for m in known), *run.answering(how.answers, drawn.rows)]
    answers = answers[answers["model"].isin(names)]
    exact = tables.tried(run, drawn, names, alpha)
    by_vote = votes(evidence(accused(run.profile, drawn), drawn, answers))
    innocent = run.names(Kind.INNOCENT)
    of_innocents = by_vote[by_vote["model"].isin(innocent)]
    of_rank = [_rank(row, of_innocents) for row in by_vote.itertuples()]
    by_words = samia(answers, drawn)
    by_probability = dataset_inference(run.profile, known, drawn)
    parts = [
        exact.assign(method=exact["twin"], score=exact["effect"]),
        by_vote.assign(method=Method.VOTE, score=by_vote["positive"] - by_vote["negative"]),
        by_vote.assign(method=Method.RANK, p=of_rank, score=by_vote["statistic"]),
        by_words.assign(method=Method.SAMIA, score=by_words["auroc"]),
        by_probability.assign(method=Method.DIA, score=by_probability["d"]),
    ]
    table = pd.concat([part.astype({"method": str}) for part in parts], ignore_index=True)
    voted = (table["method"] == Method.VOTE) & (table["score"] > 0)
    table = table.assign(accused=(table["p"] <= alpha) | voted)
    kinds = run.models.set_index("model")["kind"]
    table["kind"] = table["model"].map(kinds)
    return table[["model", "kind", "method", "p", "score", "accused"]]


def _rank(row, of_innocents: pd.DataFrame) -> float:
    """The p of a model's statistic among those that innocent models other than itself have."""
    others = of_innocents.loc[of_innocents["model"] != row.model, "statistic"]
    return float(controls.p_values([row.statistic], others[others > -np.inf])[0])


def tally(compared: pd.DataFrame) -> pd.DataFrame:
    """Count who is accused: a row per method, a column per kind of model, "accused of all"."""
    groups = compared.groupby(["method", "kind"], sort=False)["accused"].agg(["sum", "size"])
    counts = groups["sum"].astype(int).astype(str) + " of " + groups["size"].astype(str)
    methods, kinds = compared["method"].unique(), compared["kind"].unique()
    return counts.unstack().loc[methods, kinds].rename_axis(columns=None).reset_index()


def accused(profile: Profile, drawn: Draw) -> Study:
    """Give the study whose references train on the D of a draw."""
    data = models.published(drawn)
    settings = accusation.profile_of(profile, data.name, data.source, None, [])
    return Study(settings, load_pairs(data).assign(dataset=data.name))


def evidence(run: Study, drawn: Draw, answers: pd.DataFrame) -> pd.DataFrame:
    """Apply Eq. 1 and 2 to models' answers to a draw's prompts.

    Parameters
    ----------
    answers
        model, row, draw, response: usable ones.

    Returns
    -------
    pandas.DataFrame
        model, sample_id, evidence, status of each tainted sample.
    """
    scores = study.reference_scores(run)
    tainted = study.find_tainted(run, scores).query("tainted")["sample_id"]
    ids = run.pairs.set_index("prompt")["sample_id"]
    rows = drawn.published.set_index("row")["prompt"].map(ids)
    said = answers.assign(sample_id=answers["row"].map(rows)).dropna(subset="sample_id")
    said = said[said["sample_id"].isin(tainted)]
    said = said.rename(columns={"model": "suspect"}).assign(dataset=run.profile.victims[0])
    columns = ["dataset", "suspect", "sample_id", "draw", "response"]
    gaps = study.gaps_to(run, scores, said[columns])
    decision = run.profile.decision
    assert decision.rule == Rule.TEXT  # `calibrated.run` refuses others; `votes` counts by it
    judged = verdict.evidence(gaps, run.delta_s, decision.mu)
    return judged.rename(columns={"suspect": "model"})[["model", "sample_id", "evidence", "status"]]


def votes(evidence: pd.DataFrame) -> pd.DataFrame:
    """Count each model's samples: model, positive, negative, statistic.

    statistic: `controls.running_statistic` over all samples.
    """
    rows = []
    for model, part in evidence.groupby("model", sort=False):
        counts = part["status"].value_counts()
        positive, negative = (int(counts.get(s, 0)) for s in ("positive", "negative"))
        rows.append(
            {
                "model": model,
                "positive": positive,
                "negative": negative,
                "statistic": controls.running_statistic(part["evidence"].to_numpy())[-1],
            }
        )
    return pd.DataFrame(rows, columns=["model", "positive", "negative", "statistic"])


def samia(answers: pd.DataFrame, drawn: Draw) -> pd.DataFrame:
    """Attack every row by SaMIA: how much of its text do the answers hold?

    Returns model, auroc (published against withheld rows: 0.5 = cannot tell), p (one-sided
    Mann-Whitney).
    """
    texts, published = (drawn.rows.set_index("row")[name] for name in ("text", "published"))
    rows = []
    for model, part in answers[answers["row"].isin(texts.index)].groupby("model", sort=False):
        said = part.groupby("row")["response"].agg(list)
        scored = zip(said, texts[said.index], strict=True)
        scores = np.array([attacks.samia(given, text) for given, text in scored])
        labels = published[said.index].to_numpy(bool)
        one, other = scores[labels], scores[~labels]
        rows.append(
            {
                "model": model,
                "auroc": ranks.auroc(one, other),
                "p": ranks.mann_whitney(one, other),
            }
        )
    return pd.DataFrame(rows)


def dataset_inference(profile: Profile, members: Sequence[Model], drawn: Draw) -> pd.DataFrame:
    """Run DIA on models whose probabilities we may see: D against the withheld half.

    Returns model, p (twice the median over `SPLITS` random halves, which is valid), d (median).
    """
    rows = drawn.rows
    texts = pd.DataFrame(
        {
            "sample_id": rows["row"],
            "prompt": rows["prompt"],
            "variant": str(Variant.ORIGINAL),
            "number": 0,
            "answer": rows["text"],
        }
    )
    folders = {m.name: token_logprobs.entry(m.training, texts, [], make=False) for m in members}
    missing = [m for m in members if store.manifest(folders[m.name]) is None]
    pending.announce([pending.Work(m.name, m.training, texts=len(texts)) for m in missing])
    load.prepare_all(m.training.base for m in missing)
    jobs.run([jobs.Job(m.name, token_logprobs.score, (m.training, texts, [])) for m in missing])
    labels, table = rows["published"].to_numpy(bool), []
    for member in members:
        folder = token_logprobs.entry(member.training, texts, [])
        x = token_logprobs.padded(token_logprobs.read(folder))
        features = dia.features(x.logprobs, x.mask, texts["answer"].tolist()).to_numpy()
        splits = [
            dia.test(features[labels], features[~labels], seed=profile.seed + i)
            for i in range(SPLITS)
        ]
        p = min(1.0, 2 * float(np.median([split.p for split in splits])))
        d = float(np.median([split.d for split in splits]))
        table.append({"model": member.name, "p": p, "d": d})
    return pd.DataFrame(table)
