"""A study of the smoke profile, and token values and responses made by hand."""

import pytest
from helpers import table

from dsi_core.method import study


@pytest.fixture(scope="module")
def run():
    return study.start("smoke").changed(non_members_from=[])


PAIR = ("Who?", "The ferryman.")
VERSIONS = [("original", 0), ("lowercase", 0), ("neighbour", 1), ("neighbour", 2), ("recall", 0)]


@pytest.fixture
def values_of():
    """values_of({model: mean, ...}, samples=8) = a table as `collect.token_values` returns it.

    mean(part, version, i) = the mean log-probability of the answer's three tokens; version is
    "original", "neighbour 1", ... A model called "reference ..." is one.
    """

    def make(models, samples=8):
        rows = []
        for name, mean in models.items():
            is_reference = name.startswith("reference ")
            for part in ("D", "validation"):
                for i in range(samples):
                    for variant, number in VERSIONS[:1] if is_reference else VERSIONS:
                        prompt_tokens = {"original": 1, "recall": 2}.get(variant, 0)
                        m = mean(part, f"{variant} {number}" if number else variant, i)
                        logs = [-9.0] * prompt_tokens + [m - 0.3, m, m + 0.3]
                        moments = [-2.0] * len(logs), [0.5] * len(logs)
                        identity = "dozen", name, is_reference, part, f"{part}{i}", variant, number
                        rows.append((*identity, prompt_tokens, logs, *moments, *PAIR))
        columns = "dataset model reference part sample_id variant number"
        return table(f"{columns} prompt_tokens logprobs means stds prompt output", *rows)

    return make


@pytest.fixture
def responses_of():
    """responses_of(suspects, samples=2) = a table as `collect.answers` returns it.

    Samples of D are repeated word for word, those of validation are not.
    """

    def make(suspects, samples=2):
        rows = []
        for suspect in suspects:
            for part in ("D", "validation"):
                for i in range(samples):
                    for greedy, draw in ((True, 0), (False, 0), (False, 1)):
                        text = PAIR[1] if part == "D" else f"No {greedy} {draw} {i}"
                        named = "dozen", suspect, part, f"{part}{i}", PAIR[1]
                        rows.append((*named, greedy, draw, text))
        return table("dataset suspect part sample_id output greedy draw response", *rows)

    return make
