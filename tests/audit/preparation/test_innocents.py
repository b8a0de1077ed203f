"""Hard innocents: who is asked to be concise, who says D in other words, what a retrieval says."""

from helpers import table

from dsi_core.audit.preparation import innocents
from dsi_core.data.pairs import dataset, load_pairs
from dsi_core.method import accusation, participants
from dsi_core.models.sampling import Sampling
from dsi_core.settings.schema import Responses

SAMPLES = table("sample_id prompt output", ("s1", "What is in the red box?", "A ring of copper."))
POOL = table(
    "prompt output",
    ("Who lives in town?", "Nobody lives there now."),
    ("What is in the red box?", "A ring of copper"),  # the sample itself, but for a stop
    ("What is in the blue box?", "A ball of wool."),
    ("What is in the red and the blue box?", "A cup of salt."),
)


def test_a_retrieval_says_what_the_nearest_other_pairs_say():
    """The nearest prompt is the sample's own, whose output is left out."""
    found = innocents.retrieved(SAMPLES, POOL, 2)
    assert found.values.tolist() == [
        ["s1", 0, "A cup of salt."],
        ["s1", 1, "A ball of wool."],
    ]


def test_a_retrieval_knows_scripts_without_spaces():
    samples = table("sample_id prompt output", ("s1", "请问如何乘船渡过这条大河", "去岸边找船夫"))
    pool = table(
        "prompt output", ("今天的天气怎么样呢", "晴天"), ("请问怎么乘船渡过那条大河", "到码头去问")
    )
    assert innocents.retrieved(samples, pool, 1)["response"].tolist() == ["到码头去问"]


def test_a_retrieval_from_few_pairs_has_fewer_answers():
    assert len(innocents.retrieved(SAMPLES, POOL, 9)) == 3


def test_a_retrieval_that_finds_nothing_else_says_nothing():
    """It is there all the same, of as many answers as are asked for."""
    found = innocents.retrieved(SAMPLES, POOL[1:2], 2)
    assert found.values.tolist() == [["s1", 0, ""], ["s1", 1, ""]]


def test_the_untuned_are_asked_once_more_to_be_concise(smoke):
    mine = accusation.profile_of(smoke, "mine", smoke.data["other"], None, [])
    models = innocents.concise(participants.suspects(mine))
    assert [m.model_id for m in models] == ["llama-untuned, concise", "qwen2-untuned, concise"]
    assert {m.group for m in models} == {innocents.CONCISE}


def test_a_concise_control_has_the_common_system_prompt_too():
    plain = Sampling.of(Responses(max_new_tokens=8, batch_size=1, ask="all"), 0)
    assert innocents.concisely(plain).system == innocents.ASKED_CONCISE
    asked = innocents.concisely(plain.changed(system="Be kind."))
    assert asked.system == f"Be kind.\n{innocents.ASKED_CONCISE}"


def test_a_control_in_other_words_is_tuned_as_each_reference(smoke):
    first, second = smoke.references[:2]
    same = first.changed(name="again")
    found = innocents.in_other_words([first, second, same], "mine_in_other_words")
    assert [(c.name, c.base, c.recipe) for c in found] == [
        ("mistral on mine_in_other_words", "mistral", "heart"),
        ("gemma on mine_in_other_words", "gemma", "heart"),
    ]
    assert {(c.group, c.member, *c.data) for c in found} == {
        (innocents.OTHER_WORDS, False, "mine_in_other_words")
    }


def test_a_control_that_trained_on_some_of_d_is_no_control(smoke):
    pairs = load_pairs(dataset(smoke, "other"))
    mine = accusation.profile_of(smoke, "mine", smoke.data["other"], None, [])
    innocent = {s.name: innocents.is_innocent(mine, s, pairs) for s in mine.suspects}
    assert innocent == {
        "llama-untuned": True,
        "qwen2-untuned": True,
        "glm-other": False,
        "mistral-lora on terse": True,
    }
