"""What stands before each question: what of it is the data's own text, counted by hand."""

from dataclasses import replace

import pytest
import twins
from asking import plan

from dsi_core.audit import caveats, choices, put_before, suspect
from dsi_core.settings import defaults


@pytest.fixture
def wording(tmp_path):
    return twins.wording(tmp_path, 8)


def said(plan) -> tuple | None:
    shared = put_before.shared(plan)
    return shared and (shared.published, shared.kept_back)


def test_texts_of_either_side_are_counted(wording, server):
    """Of 3 samples the published wording, of another one both, in two of three places."""
    texts, others = wording.rows["text"], wording.rows["other"]
    system = f"Answer like this:\n{texts[0]}\n{texts[1].upper()}"
    extra = {"top_p": 1, "documents": [{"text": texts[2]}, {"text": [texts[3], others[3]]}]}
    with pytest.warns(UserWarning, match="2 published, 0 kept back"):
        assert said(plan(wording, server, system=system)) == (2, 0)
    where = suspect.model(None, base_url=server.url, name="m", extra=extra)
    both = choices.plan(wording, *where, system=system)
    assert said(both) == (4, 1)
    assert list(put_before.texts(both)) == ["the system prompt", "the fields of --extra-body"]


def test_of_a_private_twin_withheld_texts_are_kept_back(tmp_path, server):
    kit = twins.private(tmp_path, 8)
    published = kit.rows["published"].astype(bool)
    system = "\n".join([*kit.rows.loc[published, "text"], kit.rows.loc[~published, "text"].iloc[0]])
    assert said(plan(kit, server, system=system)) == (4, 1)


def test_after_the_fact_nothing_is_kept_back(prepared, server):
    made = prepared(6)
    asked = plan(made, server, system=made.tainted["output"].iloc[0])
    assert said(asked) == (1, None)
    assert caveats.PUT_BEFORE not in caveats.assumption(asked)  # there is no coin


@pytest.mark.parametrize("run, counts", [(put_before.RUN - 1, None), (put_before.RUN, (1, 0))])
def test_so_many_words_in_a_row_are_shared_by_no_chance(wording, server, run, counts):
    words = wording.rows["text"][0].split()
    assert len(words) > put_before.RUN
    assert said(plan(wording, server, system=f"Say {' '.join(words[:run])}, please.")) == counts


def test_of_a_short_text_all_words_count_and_of_a_label_none(wording, server):
    asked = plan(wording, server, system="Say: it is red. Or say yes.")
    first = asked.samples.index == 0
    counts = {}
    for text in ("It is red!", "yes", "Or is it red?"):
        samples = asked.samples.assign(output=asked.samples["output"].mask(first, text))
        counts[text] = said(replace(asked, samples=samples))
    assert counts == {"It is red!": (1, 0), "yes": None, "Or is it red?": None}


def test_a_chat_template_stands_before_each_question_too(wording):
    name, model = suspect.model("owner/name")
    assert put_before.texts(choices.plan(wording, name, model)) == {}
    template = defaults.CHAT_TEMPLATE + wording.rows["text"][0]
    chosen = choices.plan(wording, name, model.changed(chat_template=template))
    assert list(put_before.texts(chosen)) == ["the chat template"] and said(chosen) == (1, 0)


def test_any_field_of_a_request_may_carry_what_the_coin_said(wording, server):
    """As a bias towards tokens, which is no text."""
    lines = caveats.PUT_BEFORE, caveats.NOTHING_ELSE, caveats.COPIED_NOTHING
    for extra, told in (({"logit_bias": {"5": 9}}, [1, 0, 0]), ({}, [0, 1, 0])):
        where = suspect.model(None, base_url=server.url, name="m", extra=extra)
        assumed = caveats.assumption(choices.plan(wording, *where))
        assert [line in assumed for line in lines] == told
