"""Notebook 08 on smoke: from which base our own suspects were tuned."""

import cells
import pandas as pd
import pytest


@pytest.fixture(scope="module")
def outputs(ran):
    return ran("08")


@pytest.fixture(scope="module")
def methods(outputs):
    return pd.read_csv(outputs / "attribution_own_methods.csv")


def test_each_figure_has_its_table(outputs):
    # and none of released replies: no path was given
    assert cells.figures(outputs) == {"attribution_own_methods", "attribution_own_votes"}
    assert not list(outputs.glob("attribution_released*"))


def test_eleven_models_five_bases_and_one_chosen_method(methods):
    assert set(methods["level"]) == {"k3", "k2", "k1"}
    assert methods["chosen"].sum() == 1
    assert (methods["total"] == 11).all() and (methods["chance"] == 0.2).all()
    by_perplexity = methods["method"].str.startswith("perplexity")
    assert by_perplexity.any() and (methods.loc[by_perplexity, "cv_total"] == 10).all()


def test_what_is_right_is_counted_model_by_model(outputs, methods):
    models = pd.read_csv(outputs / "attribution_own_models.csv")
    right = models.groupby(["method", "level"])["right"].sum()
    correct = methods.set_index(["method", "level"])["correct"]
    assert (correct == right[correct.index]).all()


def test_groups_are_prompts_and_members(outputs):
    groups = pd.read_csv(outputs / "attribution_own_groups.csv")
    assert set(groups["prompts"]) == {"D", "other"}
    assert set(groups["models"]) == {"members", "non-members"}
