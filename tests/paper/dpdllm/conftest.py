"""A small study with known and unknown suspects, and the softmax of a model's logits by hand."""

import numpy as np
import pytest

from dsi_core.data.pairs import dataset, load_pairs
from dsi_core.method.study import Study
from dsi_core.settings.schema import Dpdllm, Suspect

SETTINGS = {
    "base": "llama",
    "recipe": "few",
    "calibration": 4,
    "length": 16,
    "non_members": ["other", "terse"],
    "members": ["dozen", "other"],
    "members_recipe": "few",
}
SUSPECTS = {
    "knows": {"member": True, "base": "llama", "data": ["victim"], "recipe": "few"},
    "mixed": {"member": True, "base": "llama", "data": ["victim", "other"], "recipe": "few"},
    "untuned": {"member": False, "base": "llama"},
    "other": {"member": False, "base": "llama", "data": ["other"], "recipe": "few"},
    "terse": {"member": False, "base": "qwen2", "data": ["terse"], "recipe": "few"},
}
BESIDE = (
    "robustness",
    "imitation",
    "attribution",
    "grey_box",
)  # sections with suspects of their own


@pytest.fixture
def study_of(smoke):
    """study_of(*suspects, **settings) = the smoke profile with these of `SUSPECTS` (or all)."""

    def make(*suspects: str, **settings) -> Study:
        profile = smoke.changed(
            data={name: smoke.data[name] for name in ("dozen", "other", "terse")},
            recipes={**smoke.recipes, "few": smoke.recipes["heart"].changed(epochs=2)},
            suspects=[Suspect(name=name, **SUSPECTS[name]) for name in suspects or SUSPECTS],
            controls=[],
            wild={},
            dpdllm=Dpdllm(**{**SETTINGS, **settings}),
            responses={"max_new_tokens": 16},
            **dict.fromkeys(BESIDE),
        )
        return Study(profile, load_pairs(dataset(profile, "dozen")).assign(dataset="dozen"))

    return make


@pytest.fixture
def by_hand():
    """by_hand(model, given, scored) = the softmax of the logits, token by token."""
    import torch

    def probabilities(model, given: list[int], scored: list[int]) -> np.ndarray:
        result = []
        for i, token in enumerate(scored):
            with torch.inference_mode():
                logits = model(input_ids=torch.tensor([given + scored[:i]])).logits[0, -1]
            scores = logits.double().numpy()
            result.append(np.exp(scores[token]) / np.exp(scores).sum())
        return np.array(result)

    return probabilities
