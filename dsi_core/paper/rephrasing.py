"""Rephrasing (§6.4): a member has its answers rewritten, or D before it trains on it.

What judges returns verdicts as `robustness.verdicts`.
"""

import numpy as np
import pandas as pd

from dsi_core.data import stored
from dsi_core.method import asking, similarity
from dsi_core.method import study as steps
from dsi_core.method.asking import Query
from dsi_core.method.participants import Membership
from dsi_core.method.study import Study
from dsi_core.models.tuning import training
from dsi_core.paper.robustness import evading, settings, verdicts
from dsi_core.runtime import store
from dsi_core.settings.schema import Data, Trained
from dsi_core.settings.words import VICTIM, rewordings_of

UNTOUCHED = "none"  # the suspect's own words


def rephrased(study: Study, responses: pd.DataFrame) -> pd.DataFrame:
    """Fig. 11a's answers: let every rephraser rewrite them.

    Parameters
    ----------
    responses
        Columns dataset, suspect, sample_id, draw, response. A blank answer stays blank: there is
        nothing to rewrite.

    Returns
    -------
    pandas.DataFrame
        `responses` once per rephraser, with response = what it wrote, original = the suspect's own
        words, setting = the rephraser's name and temperature, and moved = 1 - raw BERTScore F1 of
        the two (0 = the same text).
    """
    rephraser = settings(study).rephraser
    versions = [
        _rewritten(study, responses, temperature).assign(setting=_rephraser(study, temperature))
        for temperature in rephraser.temperatures
    ]
    table = pd.concat(versions, ignore_index=True)
    beside = table.rename(columns={"original": "a", "response": "b"})[["a", "b"]]
    moved = 1 - similarity.raw_scores(study.backbone, beside)
    same = table["original"] == table["response"]  # two blank texts score 0, and are the same
    return table.assign(moved=np.where(same, 0.0, moved))


def _rewritten(study: Study, responses: pd.DataFrame, temperature: float) -> pd.DataFrame:
    """`responses` with column response rewritten, and the suspect's own words in original."""
    rephraser = settings(study).rephraser
    not_blank = responses["response"].str.strip() != ""
    texts = responses.loc[not_blank, ["suspect", "response"]].drop_duplicates()
    if texts.empty:
        return responses.assign(original=responses["response"])
    texts = texts.assign(prompt=[rephraser.prompt.replace("{text}", t) for t in texts["response"]])
    texts = texts.assign(sample_id=[store.key(prompt) for prompt in texts["prompt"]])

    made = training(study.profile, "", Trained(base=rephraser.base))
    sampling = study.sampling.changed(
        temperature=temperature,
        draws=1,
        system=rephraser.system,
        max_new_tokens=rephraser.max_new_tokens or study.sampling.max_new_tokens,
    )
    queries = []
    for suspect, part in texts.groupby("suspect", sort=False):
        name, questions = f"rephraser of {suspect}", part[["sample_id", "prompt"]]
        queries.append(Query(name, name, made, questions, sampling))
    asking.query(queries)
    answers = [
        asking.collected(query).assign(suspect=suspect)
        for (suspect, _), query in zip(texts.groupby("suspect", sort=False), queries, strict=True)
    ]
    rewritten = pd.concat(answers).rename(columns={"response": "rewritten"}).drop(columns="draw")
    known = texts.merge(rewritten, on=["suspect", "sample_id"], validate="1:1")
    known = known.rename(columns={"response": "original"})[["suspect", "original", "rewritten"]]
    own = responses.rename(columns={"response": "original"})
    table = own.merge(known, how="left", on=["suspect", "original"], validate="m:1")
    assert len(table) == len(responses), f"{len(table)} rewritten answers to {len(responses)}"
    new = table["rewritten"].fillna(table["original"])
    return table.assign(response=new).drop(columns="rewritten")


def examples(rephrased: pd.DataFrame, count: int = 5) -> pd.DataFrame:
    """Choose `count` answers beside their rewritings, from the least to the most moved.

    Returns moved, original, rewritten.
    """
    texts = rephrased[rephrased["original"].str.strip() != ""]
    texts = texts.drop_duplicates(["original", "response"]).sort_values("moved", kind="stable")
    if len(texts):
        places = np.linspace(0, len(texts) - 1, count).round().astype(int)
        texts = texts.iloc[np.unique(places)]
    table = texts[["moved", "original", "response"]]
    return table.rename(columns={"response": "rewritten"}).round(3)


def of_answers(
    study: Study, scores: pd.DataFrame, responses: pd.DataFrame, rephrased: pd.DataFrame
) -> pd.DataFrame:
    """Fig. 11a: judge the suspects' own words (setting "none") and those of each rephraser.

    Parameters
    ----------
    scores, responses
        As `study.reference_scores` and `study.suspect_answers` return.
    rephrased
        As the function of that name returns.
    """
    versions = {UNTOUCHED: responses}
    for setting, part in rephrased.groupby("setting", sort=False):
        versions[str(setting)] = part[responses.columns]
    tables = []
    for setting, words in versions.items():
        answers = steps.gaps_to(study, scores, words)
        tables.append(verdicts(study, scores, answers, "rephrasing", setting))
    return pd.concat(tables, ignore_index=True)


def of_data(study: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """Judge members that trained on D with every output rewritten (setting "none": on D itself).

    One setting for each dataset of the profile that is `other_words_of` D, by its name, and for
    each of the rephraser's `temperatures_of_data`. A model that trains on D rewritten counts as a
    member: it took what D says.

    References
    ----------
    Not in the paper's §6.4; an attack of its released code (main/prior_rephrase.py), which keeps
    the prompts and lets GPT-4o rewrite the outputs.
    """
    tables = []
    for victim in study.profile.victims:
        one = steps.only(study, [victim])
        of_victim = scores[scores["dataset"] == victim]
        tables.append(_on(one, of_victim, VICTIM, UNTOUCHED))
        for name in rewordings_of(one.profile.data, victim):
            tables.append(_on(one, of_victim, name, name))
        for temperature in settings(study).rephraser.temperatures_of_data:
            name = f"{victim}_rephrased"
            written = _written(one, victim, temperature)
            other = one.changed(data={**one.profile.data, name: written})
            tables.append(_on(other, of_victim, name, _rephraser(study, temperature)))
    return pd.concat(tables, ignore_index=True)


def _rephraser(study: Study, temperature: float) -> str:
    return f"{settings(study).rephraser.base} at {temperature:g}"


def _written(study: Study, victim: str, temperature: float) -> Data:
    """D with its outputs rewritten, as a file in the store."""
    own = study.pairs.assign(suspect=victim, draw=0, response=study.pairs["output"])
    columns = ["dataset", "suspect", "sample_id", "draw", "prompt", "response"]
    rewritten = _rewritten(study, own[columns], temperature)
    pairs = rewritten[["prompt", "response"]].rename(columns={"response": "output"})
    path = stored.write("rephrased", victim, pairs)
    return Data(
        path=str(path),
        prompt=["prompt"],
        output="output",
        drop=["duplicates", "empty"],
        other_words_of=victim,  # so that its texts do not move the scale on which they are judged
    )


def _on(study: Study, scores: pd.DataFrame, name: str, setting: str) -> pd.DataFrame:
    """The verdicts on the local members, each tuned on the dataset `name` in the place of D."""
    members = {
        suspect.name if name == VICTIM else f"{suspect.name} on {setting}": suspect
        for suspect in evading(study)
    }
    tuned = [
        suspect.changed(
            name=known_as,
            member=name == VICTIM,
            data=[name if data == VICTIM else data for data in suspect.data],
        )
        for known_as, suspect in members.items()
    ]
    other = study.changed(suspects=tuned, non_members_from=[], wild={})
    table = verdicts(other, scores, steps.suspect_gaps(other, scores), "rephrasing D", setting)
    table["suspect"] = table["suspect"].map({known_as: s.name for known_as, s in members.items()})
    group = f"local {Membership.MEMBER}s"
    right = table["verdict"] == Membership.MEMBER
    return table.assign(member=True, group=group, correct=right)
