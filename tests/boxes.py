"""A prepared dataset of toy questions, "What is in box 3?", that nothing was trained for."""

from pathlib import Path

import pandas as pd
from helpers import STRANGER, WORDS, table

from dsi_core.audit.preparation import prepared as preparation
from dsi_core.audit.preparation.prepared import Prepared
from dsi_core.audit.preparation.prepared_json import Facts
from dsi_core.data.records import sample_id
from dsi_core.method import accusation, similarity, study
from dsi_core.method.study import PAIR, Study
from dsi_core.settings.profile import Profile
from dsi_core.settings.schema import Data, Similarity, Suspect


def prepared(smoke: Profile, folder: Path, count: int, controls: int = 3) -> Prepared:
    """A folder of so many tainted samples.

    Reference i says `STRANGER` with its own name without D and the oracle's output with it; the
    controls say `STRANGER`.
    """
    samples = _pairs(count).assign(min_gap=0.9, tainted=True)
    run = Study(_settings(smoke, samples["output"].iloc[0]), samples[PAIR])
    references = table("reference", *[(r.name,) for r in run.profile.references])
    scores = samples[PAIR].merge(references, how="cross")
    scores = scores.assign(
        response_before="I do not know, maybe ask " + scores["reference"] + " again.",
        response_after=scores["output"],
        raw_before=0.1,
        raw_after=1.0,
        before=0.1,
        after=1.0,
        gap=0.9,
    )
    known = _known(run, scores, smoke.controls[:controls])
    facts = Facts(name="boxes", key="k", data="boxes.jsonl")
    folder.mkdir(exist_ok=True)
    return preparation.write(Prepared(folder, facts, run, samples, scores, known))


def _pairs(count: int) -> pd.DataFrame:
    rows = []
    for i in range(count):
        first, second = WORDS[i % len(WORDS)], WORDS[(i * 7 + 3) % len(WORDS)]
        rows.append(
            (f"What is in box {i}?", f"Box {i} holds {first} and a {second} from town {i}.")
        )
    ids = [sample_id(*row) for row in rows]
    return table("prompt output", *rows).assign(dataset="boxes", sample_id=ids, category=None)


def _settings(smoke: Profile, oracle: str) -> Profile:
    """Two references, no suspects; a similarity at which `STRANGER` is as far as can be."""
    source = Data(path="boxes.jsonl", prompt=["prompt"], output="output")
    profile = accusation.profile_of(smoke, "boxes", source, None, [])
    folder = similarity.model_type(similarity.backbone(smoke))
    bert = Similarity(path=folder, layer=smoke.similarity.layer)
    unrelated = pd.DataFrame({"a": [STRANGER], "b": [oracle]})
    raw = similarity.raw_scores(similarity.backbone(profile, bert), unrelated)
    bert = bert.changed(baseline=float(raw[0]))
    return profile.changed(suspects=[], references=smoke.references[:2], similarity=bert)


def _known(run: Study, scores: pd.DataFrame, controls: list[Suspect]) -> pd.DataFrame:
    """Three answers of each control to each sample."""
    if not controls:
        return pd.DataFrame(columns=preparation.KNOWN)
    models = table("suspect group base", *[(c.name, c.group, c.base) for c in controls])
    said = run.pairs[["dataset", "sample_id"]].merge(models, "cross")
    said = said.merge(pd.DataFrame({"draw": range(3)}), how="cross")
    said = said.assign(response=STRANGER, member=False, status="answered")
    return study.gaps_to(run, scores, said)
