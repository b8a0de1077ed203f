"""The study of a real size, written at a toy's."""

from dsi_core.benchmarks import gpu_study
from dsi_core.data.pairs import dataset, load_pairs
from dsi_core.models import load
from dsi_core.models.tuning import training
from dsi_core.settings.profile import Profile


def test_a_study_of_words(tmp_path):
    """Its three sets share no prompt, words are tokens, and every suspect is tuned as it says."""
    made = Profile.model_validate({**gpu_study.write(tmp_path, "toy", 6), "name": "seven"})
    sets = [load_pairs(dataset(made, name))["prompt"] for name in made.data]
    assert [len(prompts) for prompts in sets] == [6, 6, 6]
    assert len(set().union(*sets)) == 18
    suspects = [training(made, "words", suspect) for suspect in made.suspects]
    assert [[d.name for d in one.datasets] for one in suspects] == [
        [],
        ["other"],
        ["words", "other"],
        ["words"],
    ]
    assert [one.recipe and one.recipe.method for one in suspects] == [None, "lora", "lora", "qlora"]
    tokenizer = load.tokenizer_of(suspects[0].base)
    prompt = sets[0].iloc[0]
    assert len(load.encode_prompt(tokenizer, prompt, None)) == len(prompt.split()) + 1  # "answer"
    assert made.responses.server == "vllm"
