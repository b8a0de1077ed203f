"""Tables of replies made by hand."""

import numpy as np
import pytest
from helpers import table

from dsi_core.attribution.encoder import Setup
from dsi_core.attribution.tables import score_columns

BIRDS = ["robin", "wren", "heron", "owl", "lark"]
SHIPS = ["sloop", "barge", "ketch", "brig", "yawl"]
MODELS = [
    ("air", "air"),
    ("sea", "sea"),
    ("t-air", "air"),
    ("t-sea", "sea"),
    ("u-air", "air"),
    ("u-sea", "sea"),
]


def replies_of(*rows):
    made = table("prompts prompt_id model base reply", *rows)
    tuned = made["model"] != made["base"]
    return made.assign(dataset="d", prompt=made["prompt_id"], tuned=tuned, member=None)


@pytest.fixture(scope="session")
def replies():
    """replies((prompts, prompt_id, model, base, reply), ...); a model not its own base is tuned."""
    return replies_of


@pytest.fixture(scope="session")
def zoo():
    """zoo(sets=3, prompts=4): base `air` speaks of birds, base `sea` of ships.

    Of each there are two tuned models, which speak of them too.
    """

    def make(sets=3, prompts=4):
        rng, rows = np.random.default_rng(0), []
        for s in range(sets):
            for p in range(prompts):
                for model, base in MODELS:
                    words = rng.choice(BIRDS if base == "air" else SHIPS, 5)
                    rows.append((f"set {s}", f"{s}.{p}", model, base, " ".join(words)))
        return replies_of(*rows)

    return make


@pytest.fixture(scope="session")
def scored():
    """scored((model, base, tuned, member, prompts, scores), ...) of one method, over a, b, c."""

    def make(*rows):
        bases = "abc"[: len(rows[0][-1])]
        made = table("model base tuned member prompts", *(row[:5] for row in rows))
        scores = np.array([row[5] for row in rows], float)
        named = made.assign(**dict(zip(score_columns(bases), scores.T, strict=True)))
        return named.assign(dataset="d", method="heuristics", level="k3", split="tuned")

    return make


@pytest.fixture(scope="session")
def attribution():
    """attribution(profile, ...) = the profile with a small section `attribution`."""

    def make(profile, **values):
        small = {"epochs": 6, "tokens": 12, "batch_size": 8, "learning_rate": 3e-3}
        section = profile.attribution.changed(**{"prompts": ["victim"], **small, **values})
        return profile.changed(attribution=section)

    return make


@pytest.fixture
def setup(smoke, attribution):
    return Setup.of(attribution(smoke))
