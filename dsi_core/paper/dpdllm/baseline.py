"""DPDLLM, the baseline of Tables 6-7 and Fig. 5, 7 (§6.1).

It asks how probable a reference language model finds a suspect's answers. Samples known to be
members of the suspect's training data, and samples known not to be, train a classifier: its
features are the probabilities that a small language model (LM), itself tuned on the known members,
gives to the tokens of the suspect's answers. It then calls each sample of D member or non-member,
and the majority decides. The baseline is told what no Arbiter knows: whether the suspect is a
member and, if not, what it trained on. A non-member whose training data we do not know is tuned
once more, on data we do know, and that model is judged in its place (§6.1; the paper does so with
every non-member).

Mode "clean": the LM learns answers given prompts, of the known members alone (§6.1). Features: the
probabilities of the first `length` tokens of the answer given the prompt; missing ones are imputed
by the mean of the answer's own. Known members are never judged. An answer without a token has no
features: it is counted as unscored.

Mode "faithful": what the released code does, as far as it makes sense here. Quirks kept: prompt and
answer are one text of `length` tokens, so that a long prompt leaves none of the answer; padding
counts as text; one LM is tuned on all calibration texts, non-members too, and another on the judged
ones, the oracle's outputs included; calibration members are judged as well. Not kept: the original
text in place of an answer that failed (it gives the label away); the first half of a text as prompt
(here: the question); Keras' GPT-2 and its best epoch by training perplexity (here: the profile's LM
and recipe, last epoch); no seeds (here: the profile's).
"""

import numpy as np
import pandas as pd

from dsi_core.method import verdict
from dsi_core.method.participants import Membership
from dsi_core.method.study import Study, suspects
from dsi_core.method.verdict import Status
from dsi_core.paper.dpdllm import classifier, scores
from dsi_core.paper.dpdllm.roles import Mode

UNSCORED = "unscored"
STATUS = {
    str(Membership.MEMBER): str(Status.POSITIVE),
    str(Membership.NON_MEMBER): str(Status.NEGATIVE),
    UNSCORED: str(Status.FILTERED),
}


def run(study: Study, mode: Mode | str = Mode.CLEAN) -> pd.DataFrame:
    """Call each judged sample of D member or non-member, for every suspect.

    Tunes, prompts and scores whatever the store lacks, in parallel.

    Returns
    -------
    pandas.DataFrame
        Columns dataset, suspect, sample_id, called ("member", "non-member" or "unscored"),
        probability (of member, in [0, 1]; NaN if unscored).

    Raises
    ------
    ValueError
        For an unknown mode, or a profile whose section dpdllm is missing or does not fit a suspect.
    """
    tables = []
    for suspect in scores.collect(study, mode):
        probability = classifier.classify(suspect.known, suspect.labels, suspect.judged)
        kinds = [np.isnan(probability), probability > 0.5]
        called = np.select(kinds, [UNSCORED, str(Membership.MEMBER)], str(Membership.NON_MEMBER))
        table = pd.DataFrame(
            {
                "dataset": suspect.roles.dataset,
                "suspect": suspect.roles.suspect,
                "sample_id": suspect.roles.judged["sample_id"].to_numpy(),
                "called": called,
                "probability": probability,
            }
        )
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def verdicts(study: Study, calls: pd.DataFrame) -> pd.DataFrame:
    """Count the vote over `run`'s calls, by the rule of `verdict.verdicts`.

    Returns
    -------
    pandas.DataFrame
        Columns dataset, suspect, group, member, positive (samples called member), negative (called
        non-member), filtered (unscored), verdict, correct.
    """
    table = verdict.verdicts(calls.assign(status=calls["called"].map(STATUS)), suspects(study))
    return table.assign(correct=table["verdict"] == table["member"].map(Membership.of))


def calibration(study: Study, mode: Mode | str = Mode.CLEAN) -> pd.DataFrame:
    """Show what each classifier learnt from, and how well it tells known members and others apart.

    D's own samples cannot show that: for one suspect they all belong to one class.

    Returns
    -------
    pandas.DataFrame
        Columns dataset, suspect, answers_from (the model that was prompted), members_from,
        non_members_from (datasets), calibration_members, calibration_non_members,
        calibration_unscored (of these), judged, unscored (of these; counts of samples),
        balanced_accuracy (the released "AUC": of hard labels, (TPR + TNR) / 2) and ranking_auc,
        both in [0, 1], 0.5 = chance, from `classifier.quality`.
    """
    rows = []
    for suspect in scores.collect(study, mode):
        roles = suspect.roles
        accuracy, ranking = classifier.quality(suspect.known, suspect.labels, study.profile.seed)
        rows.append(
            {
                "dataset": roles.dataset,
                "suspect": roles.suspect,
                "answers_from": roles.model_id,
                "members_from": roles.members_from,
                "non_members_from": roles.non_members_from,
                "calibration_members": len(roles.members),
                "calibration_non_members": len(roles.non_members),
                "calibration_unscored": int(np.isnan(suspect.known[:, 0]).sum()),
                "judged": len(roles.judged),
                "unscored": int(np.isnan(suspect.judged[:, 0]).sum()),
                "balanced_accuracy": accuracy,
                "ranking_auc": ranking,
            }
        )
    return pd.DataFrame(rows)
