"""Which number goes where."""

import pytest

from dsi_core.grey_box import scoring, tables


def test_a_suspect_is_compared_with_its_own_base(run, values_of, responses_of):
    values = values_of(
        {
            "llama-full": lambda part, version, i: -1.0,
            "reference llama": lambda part, version, i: -1.5,
            "reference qwen2": lambda part, version, i: -0.5,
        }
    )
    scores = scoring.scores([run], values, responses_of(["llama-full"]))
    assert set(scores["attack"]) >= {"reference llama", "WBC"}
    assert "reference qwen2" not in set(scores["attack"])  # the base of another suspect
    assert (scores.loc[scores["attack"] == "WBC", "score"] == 1).all()


def test_every_attack_gets_its_own_numbers(run, values_of, responses_of):
    means = {
        "original": -1.0,
        "lowercase": -3.0,
        "neighbour 1": -2.0,
        "neighbour 2": -4.0,
        "recall": -0.5,
    }
    values = values_of(
        {
            "llama-full": lambda part, version, i: means[version] - 0.1 * i,
            "reference llama": lambda part, version, i: -1.75 - 0.1 * i,
        }
    )
    scores = scoring.scores([run], values, responses_of(["llama-full"]))
    assert set(scores["member"]) == {True}
    assert set(scores["suspect"]) == {"llama-full"}
    kinds = scores.drop_duplicates("attack").set_index("attack")["kind"]
    assert kinds["reference llama"] == "reference"
    assert (kinds.drop("reference llama") == kinds.drop("reference llama").index).all()
    at = scores.query("sample_id == 'D1'").set_index(["view", "attack"])["score"]
    own = -1.1
    answer_bytes, text_bytes = 21, 27  # of "The ferryman." by zlib, and with "Who?\n\n" before it
    assert at["answer"].to_dict() == pytest.approx(
        {
            "loss": own,
            "zlib": own / answer_bytes,
            "Min-K%": own - 0.3,
            "Min-K%++": (own - 0.3 + 2) / 0.5,
            "reference llama": 0.75,
            "lowercase": 3.1 / 1.1,
            "neighbours": own + (2.1 + 4.1) / 2,
            "ReCaLL": 0.6 / 1.1,
            "WBC": 1.0,  # each token is likelier by 0.75
            "EZ-MIA": 1.0,  # none is below its place's mean, -2
        }
    )
    text = (own * 3 - 9) / 4  # the prompt's one scored token, too
    assert at["text"].to_dict() == pytest.approx(
        {
            "loss": text,
            "zlib": text / text_bytes,
            "Min-K%": -9,
            "Min-K%++": -14,
            "reference llama": 0.75 * 3 / 4,
            "ReCaLL": ((-0.6 * 3 - 18) / 5) / text,
            "WBC": 1.0,
            "EZ-MIA": 0.5,  # the prompt's token is, and did not move
        }
    )
    assert at["sampled"].to_dict() == {"SaMIA": 1.0, "CDD": 1.0}
    other = scores.query("sample_id == 'validation1' and view == 'sampled'")
    assert other.set_index("attack")["score"].to_dict() == {"SaMIA": 0.0, "CDD": 0.0}


def test_at_temperature_0_samia_and_cdd_score_nobody(run, values_of, responses_of):
    means = {"llama-full": -1.0, "reference llama": -1.5, "reference qwen2": -0.5}
    values = values_of({name: lambda *_, mean=mean: mean for name, mean in means.items()})
    responses = responses_of(["llama-full"])
    scores = scoring.scores([run], values, responses[responses["greedy"]])
    assert set(scores["view"]) == {"answer", "text"}
    measured = tables.measured(run, scores)
    inferred = tables.over_splits(tables.dataset_inference([run], values, scores), 0.1)
    identity = measured[scoring.KEYS].head(1)
    beside = tables.beside(run, measured, inferred, identity.assign(verdict="member"))
    methods = tables.tally(run, beside)["method"]
    assert "loss" in set(methods) and not {"SaMIA", "CDD"} & set(methods)
