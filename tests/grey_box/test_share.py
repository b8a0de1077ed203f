"""The share of D by an attack's guesses: what is compared, and mixtures of known shares."""

import numpy as np
import pandas as pd
import pytest

from dsi_core.grey_box import share


def scores_of(models, samples=40):
    """Scores of one attack: {suspect: (member, how much higher those of D are)}."""
    rng = np.random.default_rng(0)
    tables = []
    for suspect, (member, above) in models.items():
        for part in ("D", "validation"):
            score = rng.normal(above * (part == "D"), 1, samples)
            named = {"dataset": "dozen", "suspect": suspect, "group": "g", "member": member}
            tables.append(pd.DataFrame({**named, "part": part, "score": score}))
    return pd.concat(tables, ignore_index=True).assign(view="answer", attack="loss")


MODELS = {"one": (True, 3.0), "other": (True, 3.0), "stranger": (False, 0.0)}


def test_members_are_judged_by_other_members():
    table = share.of_suspects(scores_of(MODELS), ["loss"], seed=0).set_index("suspect")
    assert table["members"].to_dict() == {"one": 1, "other": 1, "stranger": 2}
    assert table["true"].to_dict() == {"one": 1, "other": 1, "stranger": 0}
    assert (table["low"] <= table["true"]).all() and (table["true"] <= table["high"]).all()
    assert table.loc["one", "share"] > 0.9 and table.loc["stranger", "share"] < 0.15


def test_without_another_member_nobody_is_judged():
    alone = {name: MODELS[name] for name in ("one", "stranger")}
    table = share.of_suspects(scores_of(alone), ["loss"], seed=0)
    assert list(table["suspect"]) == ["stranger"]
    assert share.of_suspects(scores_of(MODELS), ["zlib"], seed=0).empty


@pytest.mark.parametrize("unseen, unused", [(4, 1 / 4), (10, 2 / 10), (12, 2 / 12)])
def test_by_hand(unseen, unused):
    """A tenth is none of four, one of ten and of twelve: may lie above the threshold.

    Above it are three of the one's and all of the other's. Of the unseen, one more lies above the
    threshold that the others give.
    """
    d, validation = [15.0, 16, 17, 0], np.arange(1.0, unseen + 1)
    rows = [
        {"suspect": suspect, "part": part, "score": score}
        for suspect, member in (("one", d), ("other", [19.0, 19, 19, 19]))
        for part, values in (("D", member), ("validation", validation))
        for score in values
    ]
    known = {"dataset": "d", "group": "g", "member": True, "view": "answer", "attack": "loss"}
    table = share.of_suspects(pd.DataFrame(rows).assign(**known), ["loss"], seed=0)
    assert table["share"].tolist() == pytest.approx([(3 / 4 - unused) / (1 - unused), 1.0])


def test_mixtures_are_of_known_shares():
    shares = share.mixtures(scores_of(MODELS), ["loss"], seed=0, shares=(0, 0.5, 1), deals=30)
    assert set(shares["suspect"]) == {"one", "other"}
    assert len(shares) == 2 * 3 * 30
    table = share.over_deals(shares).set_index("true")
    assert table["mean"].to_dict() == pytest.approx({0: 0.0, 0.5: 0.5, 1: 0.95}, abs=0.1)
    assert (table["held"] > 0.85).all()
    assert (table["width"] < 0.6).all()
    again = share.mixtures(scores_of(MODELS), ["loss"], seed=0, shares=(0, 0.5, 1), deals=30)
    pd.testing.assert_frame_equal(again, shares)


def test_only_members_of_the_same_dataset_vouch_and_only_answers_count():
    one = scores_of(MODELS)
    alone = scores_of({"elsewhere": (True, 9.0)})
    strangers = [alone.assign(dataset="e"), alone.assign(suspect="other", score=9.0, view="text")]
    among = share.of_suspects(pd.concat([one, *strangers]), ["loss"], seed=0)
    pd.testing.assert_frame_equal(among, share.of_suspects(one, ["loss"], seed=0))
