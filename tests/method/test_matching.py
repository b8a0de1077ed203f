"""BERTScore token by token: its F1 is bert-score's own, and the means are those of the matrix."""

import numpy as np
import pandas as pd
import pytest

from dsi_core.method import matching, similarity
from dsi_core.method.matching import Matching
from dsi_core.runtime import entries

A, B = "Old Maren has kept the lamp there for thirty winters.", "The lamp was kept for years."


def test_each_token_takes_its_best_match_and_marks_count_in_no_mean():
    found = Matching(
        a=["[CLS]", "x", "y"],
        b=["[CLS]", "u", "v"],
        counted_a=[False, True, True],
        counted_b=[False, True, True],
        cosines=[[1.0, 0.0, 0.9], [0.2, 0.6, 0.1], [0.5, 0.2, 0.4]],
    )
    assert found.precision == pytest.approx((0.6 + 0.5) / 2)  # y's best match is a mark
    assert found.recall == pytest.approx((0.6 + 0.9) / 2)
    assert found.f1 == pytest.approx(2 * 0.55 * 0.75 / (0.55 + 0.75))
    assert found.table.index.tolist() == ["x", "y"] and found.table.columns.tolist() == ["u", "v"]
    assert found.table.loc["y", "v"] == 0.4
    assert found.summary == "precision 0.550, recall 0.750: BERTScore F1 (raw) 0.635"


def test_its_f1_is_the_score_of_the_study(smoke, one_thread):
    backbone = similarity.backbone(smoke)
    found = matching.match(backbone, A, B)
    raw = similarity.raw_scores(backbone, pd.DataFrame({"a": [A], "b": [B]}))
    assert found.f1 == pytest.approx(raw[0], abs=1e-5)
    assert np.shape(found.cosines) == (len(found.a), len(found.b))
    assert sum(found.counted_a) == len(found.a) - 2  # beginning and end
    assert matching.match(backbone, A, A).f1 == pytest.approx(1)


def test_what_was_matched_once_is_read(smoke, monkeypatch):
    backbone = similarity.backbone(smoke)
    first = matching.match(backbone, A, B)
    monkeypatch.setattr(similarity, "scorer", None)
    assert matching.match(backbone, A, B) == first
    kinds = entries.status().query("complete")["kind"]
    assert "matching" in set(kinds)


def test_a_blank_text_is_refused(smoke):
    with pytest.raises(ValueError, match="a blank text has no token to match"):
        matching.match(similarity.backbone(smoke), A, " \n")
