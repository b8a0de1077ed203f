"""Beside the exact tests, on the same models: the paper's vote, its statistic, SaMIA and DIA.

The references of the vote are tuned on the D of one draw. The private twin's withheld half, which
nobody trained on, is the validation set that DIA asks for.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dsi_core.calibration import models
from dsi_core.calibration.draws import Draw
from dsi_core.calibration.models import Model
from dsi_core.data.pairs import load_pairs
from dsi_core.evidence import controls, ranks
from dsi_core.grey_box import attacks, dia
from dsi_core.method import accusation, study, verdict
from dsi_core.method.study import Study
from dsi_core.models import load, token_logprobs
from dsi_core.models.token_logprobs import Variant
from dsi_core.runtime import jobs, store
from dsi_core.settings.profile import Profile

SPLITS = 10  # of DIA


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
    judged = verdict.evidence(gaps, run.delta_s, run.profile.decision.mu)
    return judged.rename(columns={"suspect": "model"})[["model", "sample_id", "evidence", "status"]]


def votes(evidence: pd.DataFrame) -> pd.DataFrame:
    """Count each model's samples: model, positive, negative, share of them, statistic.

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
                "vote": "member" if positive > negative else "non-member",
                "statistic": controls.running_statistic(part["evidence"].to_numpy())[-1],
            }
        )
    return pd.DataFrame(rows)


def samia(answers: pd.DataFrame, drawn: Draw) -> pd.DataFrame:
    """Attack every row by SaMIA: how much of its text do the answers hold?

    Returns model, auroc (published against withheld rows: 0.5 = cannot tell), p (one-sided
    Mann-Whitney).
    """
    texts, published = (drawn.rows.set_index("row")[name] for name in ("text", "published"))
    rows = []
    for model, part in answers[answers["row"].isin(texts.index)].groupby("model", sort=False):
        said = part.groupby("row")["response"].agg(list)
        scores = pd.Series({row: attacks.samia(given, texts[row]) for row, given in said.items()})
        labels = published[scores.index].to_numpy(bool)
        one, other = scores[labels].to_numpy(), scores[~labels].to_numpy()
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
