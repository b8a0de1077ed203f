"""Answers that can be no evidence: told once, while they come, and never of who is innocent."""

from types import SimpleNamespace

import pytest
import twins
from asking import knows, plan
from helpers import STRANGER, telling
from servers import KEY, reply

from dsi_core.audit import choices, suspect
from dsi_core.audit.asking import in_vain, run
from dsi_core.models import responses

ABROAD = "\u042f \u043d\u0435 \u0437\u043d\u0430\u044e, \u0447\u0442\u043e \u0442\u0430\u043c."


@pytest.fixture
def told(monkeypatch, server):
    """What was warned of, each with how many questions had been asked by then."""
    said = []

    def warn(words, **_):
        said.append((words, len(server.asked)))

    monkeypatch.setattr(in_vain, "warnings", SimpleNamespace(warn=warn))
    return said


def asks(about, server, **how):
    """Ask one question at a time."""
    planned = plan(about, server, **how)
    remote = planned.model.endpoint.changed(concurrency=1)
    object.__setattr__(planned.model, "endpoint", remote)
    return planned


@pytest.mark.parametrize("make", [twins.wording, twins.private])
@pytest.mark.parametrize("stop_early", [False, True])
def test_who_answers_in_another_language_is_told_of_while_it_answers(
    tmp_path, server, told, make, stop_early
):
    """After 24 of 40, in a rerun from its start on; also where all is asked in one go."""
    server.script = lambda prompt, n: reply(f"\u202e{ABROAD}")
    planned = asks(make(tmp_path, 40), server, stop_early=stop_early)
    run.run(planned)
    ((words, asked),) = told
    assert 24 <= asked < 30 and words.startswith("0 of 24 replies so far have anything in common")
    assert f"(24 answered) are no evidence; one begins '{ABROAD}'" in words
    assert all(way in words for way in ("--system-prompt", "right model", "language", "Ctrl-C"))
    assert "--chat-template" not in words
    path = planned.folder / responses.FILE
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:30]))
    run.run(planned)
    assert len(told) == 2 and told[1][0].startswith("0 of 30 replies") and told[1][1] == 40


def test_what_keeps_its_answers_to_itself_is_told_of(tmp_path, server, told):
    """Refused, empty, abroad by turns; two of 24 know of boxes."""
    kinds = ["I'm sorry, but I can't help with that.", "", ABROAD]

    def script(prompt, n):
        number = int(prompt.split()[-1].rstrip("?"))
        return reply(
            f"Box {number} holds linen, I think." if number in (1, 2) else kinds[number % 3]
        )

    server.script = script
    for count, times in ((24, 0), (25, 1)):  # of the last one nobody is warned
        (tmp_path / str(count)).mkdir()
        run.run(asks(twins.private(tmp_path / str(count), count), server, stop_early=False))
        assert len(told) == times
    ((words, _),) = told
    assert words.startswith("2 of 24 replies so far have anything in common")
    assert "8 refused" in words and "empty" in words and "answered" in words


def test_innocent_models_that_speak_of_the_same_things_are_not_told_of(tmp_path, server, told):
    """Of three answers one has nothing in common with the data; of real ones fewer have not."""

    def script(prompt, n):
        number = int(prompt.split()[-1].rstrip("?"))
        return reply(STRANGER if number % 3 == 0 else f"Box {number} holds nothing, I think.")

    server.script = script
    for make in (twins.private, twins.wording):
        (tmp_path / make.__name__).mkdir()
        kit = make(tmp_path / make.__name__, 40)
        run.run(plan(kit, server, stop_early=False, out=tmp_path / f"{make.__name__}-audits"))
    assert told == []


def test_nothing_secret_is_quoted(tmp_path, server, told):
    """Neither the key, nor what was answered to a prompt that the coin keeps back."""
    kit = twins.private(tmp_path, 40)
    published = kit.rows.set_index("prompt")["published"]
    server.script = lambda prompt, n: reply(f"{KEY} " if published[prompt] else ABROAD * 2)
    run.run(asks(kit, server, stop_early=False))
    ((words, _),) = told
    assert KEY not in words and KEY[:9] not in words and ABROAD[:8] not in words
    assert "one begins '[key]'" in words


def test_what_is_told_after_five_is_not_told_again(tmp_path, server, told):
    """All replies are of one kind; then some of another, that is no evidence either."""
    order = iter(range(40))
    server.script = lambda prompt, n: reply("" if next(order) < 10 else ABROAD)
    run.run(asks(twins.wording(tmp_path, 40), server, stop_early=False))
    ((words, asked),) = told
    assert 5 <= asked < 12 and words.startswith("all 5 replies so far are of the kind 'empty'")


def test_after_the_fact_what_is_no_answer_is_told_of_whatever_its_kinds(prepared, server, told):
    folder, kinds = prepared(10), ["I'm sorry, but I can't help with that.", ""]
    server.script = lambda prompt, n: reply(kinds[n % 2])
    run.run(asks(folder, server, stop_early=False))
    ((words, _),) = told
    assert words.startswith("0 of 24 replies so far are answers") and "8 empty" in words
    told.clear()
    server.script = knows(folder)
    run.run(asks(folder, server, name="m-2", stop_early=False))
    assert told == []


def test_of_a_model_that_is_loaded_here_a_worker_tells(tmp_path, monkeypatch):
    kit = twins.wording(tmp_path, 30)
    where = suspect.model("owner/name")
    planned = choices.plan(kit, *where, out=tmp_path / "o", stop_early=False)

    def answers(model_id, training, questions, sampling):
        return [
            [
                SimpleNamespace(question=row, text=f"\u202e{ABROAD}")
                for row in questions.itertuples()
            ]
        ]

    monkeypatch.setenv("DSI_WORKERS", "0")
    monkeypatch.setattr(responses, "local_answers", answers)
    monkeypatch.setattr(run.load, "spread", lambda *_: False)
    with telling() as said:
        run.run(planned)
    (words,) = [str(one.message) for one in said if "so far" in str(one.message)]
    assert words.startswith("0 of 24 replies") and "or another --chat-template" in words
    assert f"one begins '\\u202e{ABROAD[:8]}" in words
