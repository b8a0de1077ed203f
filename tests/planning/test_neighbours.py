"""The jobs of notebooks 07 to 09 by hand, on a made-up profile with round assumptions."""

import pytest
from helpers import change, write_jsonl
from planned import PAIR, numbers, row, with_suspects

from dsi_core.data.pairs import Dataset, dataset
from dsi_core.imitation.dataset import UNTUNED
from dsi_core.planning import neighbours, plan
from dsi_core.planning.machine import machine_of
from dsi_core.settings.schema import Data, Suspect, Trained

HUB = {"prompt": ["question"], "output": "answer", "hub": "owner/known"}  # 1,000 pairs


def jobs_of(neighbour, profile):
    """The jobs of one neighbour on the card "round"."""
    machine = machine_of("round")
    return plan.table(neighbour(profile, machine), machine)


def test_grey_box_by_hand(tiny, smoke, tmp_path):
    """4 of D and 6 - 2 of validation, 35 tokens each.

    4 compared: twice the prompt, lowercase, a neighbour and ReCaLL's answer; a prefix of 2.
    """
    file = write_jsonl(tmp_path / "six.jsonl", [{**PAIR, "question": c * 40} for c in "efghij"])
    source = Data(path=str(file), prompt=["question"], output="answer")
    how = change(
        smoke.grey_box,
        validation={"four": source},
        references=["llama"],
        compared=2,
        neighbours=1,
        shots=2,
        asked=3,
        draws=2,
    )
    jobs = jobs_of(neighbours.grey_box, tiny.changed(grey_box=how))
    suspect = row(jobs, step="read", model_id="s")
    tokens = 280 + 4 * (30 + 60) + 70
    assert numbers(suspect) == {"pairs": 12, "tokens": tokens, "seconds": 22.72, "memory": 17}
    reference = row(jobs, step="read", model_id="reference llama")
    assert numbers(reference) == {"pairs": 8, "tokens": 280, "seconds": 8.96, "memory": 17}
    answers = jobs[jobs["step"] == "answer"]
    assert answers[["pairs", "tokens"]].to_numpy().tolist() == [[6, 360], [6, 180]]  # 2 draws, 1


def test_a_validation_set_of_the_same_source_may_have_nothing_left(tiny, smoke):
    own = tiny.data["four"]
    how = change(smoke.grey_box, validation={"four": own}, references=["llama"], shots=1)
    jobs = jobs_of(neighbours.grey_box, tiny.changed(grey_box=how))
    assert row(jobs, model_id="reference llama")["pairs"] == 4


def test_a_validation_set_is_what_random_draws_leave(tiny):
    data = {
        "half": Data(**HUB, rows=500),
        "x": Data(**HUB, rows=400),
        "rest of x": Data(**HUB, rows=300, apart_from="x"),
    }
    profile = tiny.changed(data={**tiny.data, **data})
    others = [dataset(profile, name) for name in profile.data]

    def left(**rows):
        return neighbours.validation_pairs(Dataset("v", Data(**HUB, **rows), 0), others)

    assert left() == 1000 * 0.5 * 0.6 * 0.5
    assert left(rows=70) == 70


ATTRIBUTION = {
    "prompts": ["victim"],
    "questions": 3,
    "folds": 2,
    "tokens": 10,
    "epochs": 2,
    "negatives": 1,
    "backbone": None,
}


def tuned(name, base):
    return {"name": name, "base": base, "data": ["victim"], "recipe": "lora"}


def test_attribution_by_hand(tiny, smoke):
    """Two fits on 2 bases' 3 replies, 2 epochs: 10 tokens alone and 20 in each of two pairs.

    Half of 0.5e9 parameters.
    """
    how = change(smoke.attribution, **ATTRIBUTION)
    both = (tuned("on llama", "llama"), tuned("on qwen2", "qwen2"))
    jobs = jobs_of(neighbours.attribution, with_suspects(tiny, *both, attribution=how))
    assert sorted(jobs.loc[jobs["step"] == "answer", "tokens"]) == [60, 60, 90, 90]
    readings = jobs.loc[jobs["step"] == "read", ["pairs", "tokens"]]
    assert readings.to_numpy().tolist() == [[12, 300 + 12 * 15]] * 2
    encoder = row(jobs, step="tune")
    assert numbers(encoder) == {"pairs": 12, "tokens": 1200, "seconds": 3.6, "memory": 5}


def test_one_base_needs_no_attribution(tiny, smoke):
    how = change(smoke.attribution, **ATTRIBUTION)
    one = with_suspects(tiny, tuned("a", "llama"), attribution=how)
    assert jobs_of(neighbours.attribution, one).empty


@pytest.fixture
def imitated(tiny, smoke):
    on_d = Suspect(name="on-D", member=True, base="llama", data=["victim"], recipe="full")
    how = change(
        smoke.imitation,
        target=Trained(base="llama"),
        references=None,
        answer_tokens=16,
        mixture=None,
        imitator={"base": "llama", "recipe": "lora"},
        suspects=[on_d],
    )
    return tiny.changed(imitation=how)


def test_imitation_by_hand(imitated):
    """8 queries in 1 round of 9 categories; 6 + 6 + 3 pairs and the 3 once more.

    Three imitators and their base answer 3.
    """
    jobs = jobs_of(neighbours.imitation_data, imitated)
    answering = ["imitator of 3", "imitator of 6", "imitator of 12", UNTUNED]
    assert jobs[["model_id", "pairs", "tokens"]].to_numpy().tolist() == [
        ["target", 72, 2160],
        ["target", 18, 288],
        *([name, 3, 48] for name in answering),
    ]


def test_imitators_by_hand(imitated):
    jobs = plan.jobs(neighbours.imitation_profile(imitated), "round")
    tuned = jobs[jobs["step"] == "tune"].set_index("model_id")[["pairs", "tokens"]]
    assert tuned.loc["imitator of 3"].tolist() == [3, 3 * 3 * 31]  # outputs of 16 tokens
    assert tuned["pairs"].to_dict() == {
        "R^t one": 6,
        "imitator of 3": 3,
        "imitator of 6": 6,
        "imitator of 12": 12,
        "on-D": 6,
    }
