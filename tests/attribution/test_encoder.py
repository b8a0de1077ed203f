"""The transformer: what it learns, what it is stored under, and what it is shown."""

import pytest

from dsi_core.attribution import encoder, tables
from dsi_core.attribution.encoder import Encoder, Setup
from dsi_core.method import similarity
from dsi_core.settings.schema import Similarity


def test_partners_are_other_prompts_of_the_same_set(zoo):
    made = zoo()
    beside = encoder.partners(made, made, 0)
    assert (beside != made["prompt_id"]).all()
    assert (beside.str[0] == made["prompt_id"].str[0]).all()
    assert (beside.groupby(made["prompt_id"]).nunique() == 1).all()  # the same for all models
    assert (beside == encoder.partners(made, made, 0)).all()
    assert (beside != encoder.partners(made, made, 1)).any()
    known, queried = made[made["prompts"] != "set 0"], made[made["prompts"] == "set 0"]
    assert set(encoder.partners(known, queried, 0)) <= set(known["prompt_id"])


@pytest.mark.parametrize("score", [encoder.alone, encoder.pairs])
def test_the_transformer_learns_and_is_stored(
    zoo, smoke, attribution, setup, one_thread, monkeypatch, score
):
    made = zoo(prompts=8)
    known, queried = made[~made["tuned"]], made[made["model"].str.startswith("u-")]
    scores = score(setup, known, queried, ["air", "sea"])
    assert scores.shape == (len(queried), 2)
    assert ((scores > 0) & (scores < 1)).all()
    columns = dict(zip(tables.score_columns(["air", "sea"]), scores.T, strict=True))
    calls = tables.attributed(queried.assign(**columns), ["air", "sea"], ["model", "base"])
    assert calls["right"].all()
    monkeypatch.setattr(Encoder, "tune", None)
    assert (score(setup, known, queried, ["air", "sea"]) == scores).all()
    other = Setup.of(attribution(smoke, epochs=5))
    with pytest.raises(TypeError):  # other settings, other place
        score(other, known, queried, ["air", "sea"])


def test_another_kind_of_encoder_is_refused(smoke, attribution, setup, tmp_path):
    from transformers import AutoTokenizer, DistilBertConfig, DistilBertModel

    tiny = DistilBertConfig(dim=8, hidden_dim=8, n_layers=1, n_heads=1, vocab_size=10)
    DistilBertModel(tiny).save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(similarity.model_type(setup.backbone))
    tokenizer.save_pretrained(tmp_path)
    own = Similarity(path=str(tmp_path), layer=1)
    with pytest.raises(ValueError, match=r"backbone .* is a DistilBertModel; needs BERT"):
        Encoder(Setup.of(attribution(smoke, backbone=own)))


def test_embeddings_do_not_depend_on_the_batch(zoo, setup, one_thread):
    import torch

    texts = zoo()["reply"]
    model = Encoder(setup)
    assert len(model.model.encoder.layer) == setup.backbone.settings.layer
    second = ["one two three four five six seven eight nine ten eleven twelve"] * len(texts)
    rows = model.rows(texts, second)
    limit = setup.attribution.tokens
    assert all(len(row.ids) == len(row.kinds) <= 2 * limit + 3 for row in rows)
    cls, sep = model.tokenizer.cls_token_id, model.tokenizer.sep_token_id
    assert rows[0].ids[0] == cls
    assert rows[0].ids[-1] == sep
    assert rows[0].kinds == [0] * (rows[0].ids.index(sep) + 1) + [1] * (limit + 1)
    vectors = model.predict(rows, None)
    inputs = {
        "input_ids": torch.tensor([rows[3].ids]),
        "token_type_ids": torch.tensor([rows[3].kinds]),
    }
    with torch.inference_mode():
        mean = model.model(**inputs).last_hidden_state[0].mean(dim=0)
    assert vectors[3] == pytest.approx(mean.numpy(), abs=1e-5)
