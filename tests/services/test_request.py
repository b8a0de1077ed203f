"""The body of a request, and how it adapts to what a service takes: once, remembered, told."""

import json

import pytest
from helpers import says, table, telling
from servers import cut_before, error, page, reply

from dsi_core.models.sampling import Sampling
from dsi_core.services import endpoint as api
from dsi_core.services import request
from dsi_core.services.request import Taken, body, most_new_tokens
from dsi_core.services.service import Service, remembered
from dsi_core.services.trial import EndpointError
from dsi_core.settings.schema import Endpoint


def how(temperature=0.7, system=None, limit=8):
    return Sampling(0, temperature, 1, limit, 1, system)


def of(url="http://h/v1", **changes):
    return Endpoint(**{"base_url": url, "model": "m", "patience": 0, **changes})


def todo(*prompts):
    return table("sample_id prompt draw", *[(f"s-{p}", p, 0) for p in prompts])


def run(server, *prompts, memory=None, asking=None, **changes):
    """(answers by prompt, what was told, the error) of a run."""
    found, said = {}, None
    endpoint = of(server.url, concurrency=1, **changes)
    with telling() as told, Service(endpoint, memory) as service:
        try:
            for row, got in api.answers(endpoint, todo(*prompts), asking or how(), service):
                found[row.prompt] = got
        except EndpointError as caught:
            said = str(caught)
    return found, [str(one.message) for one in told], said


# --- The body ----------------------------------------------------------------------------------


def test_a_body_of_the_usual_kind():
    assert body(of(), "p", how(system="Be brief."), 7) == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "p"},
        ],
        "temperature": 0.7,
        "max_tokens": 8,
        "seed": 7,
        "stream": False,
    }


def test_what_was_refused_is_not_sent():
    taken = Taken(
        limit="max_completion_tokens", seed=False, temperature=False, stream=None, system="user"
    )
    assert body(of(), "p", how(system="Be brief."), 7, taken) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Be brief.\n\np"}],
        "max_completion_tokens": 8,
    }
    developer = body(of(), "p", how(system="x"), 7, Taken(system="developer"))
    assert developer["messages"][0] == {"role": "developer", "content": "x"}


def test_any_field_may_be_set_or_left_out():
    """Null in `extra` is sent as null."""
    sent = body(of(extra={"top_p": None, "seed": 1}, omit=("stream", "temperature")), "p", how(), 7)
    assert sent["top_p"] is None and sent["seed"] == 1
    assert not {"stream", "temperature"} & set(sent)


def test_a_limit_of_ones_own_stands_alone_and_budgets_know_it():
    own = of(extra={"max_completion_tokens": 99})
    assert "max_tokens" not in body(own, "p", how(), 7)
    assert most_new_tokens(own, 8) == 99
    none = of(omit=("max_tokens",), extra={"max_new_tokens": 8})
    assert not set(request.LIMITS) & set(body(none, "p", how(), 7))
    assert most_new_tokens(none, 8) is None
    assert most_new_tokens(of(reasoning_tokens=100), 8) == 108


@pytest.mark.parametrize(
    "wrong, parts",
    [
        ({"extra": {"model": "x"}}, ["extra sets model", "--model"]),
        ({"extra": {"messages": []}}, ["extra sets messages", "--system-prompt"]),
        ({"extra": {"temperature": 0}}, ["extra sets temperature", "--temperature"]),
        ({"extra": {"n": 2}}, ["extra sets n", "--responses"]),
        ({"extra": {"user": "u", "API_Key": "word-1"}}, ["extra sets API_Key", "--key-env"]),
        ({"extra": {"access_token": "word-1"}}, ["extra sets access_token", "--key-env"]),
        ({"omit": ("messages",)}, ["omit names messages"]),
        ({"extra": {"a": 1}, "omit": ("a",)}, ["a: both in extra and in omit"]),
    ],
)
def test_what_a_question_is_cannot_be_set_otherwise(wrong, parts):
    with pytest.raises(ValueError) as error:
        of(**wrong)
    says(error, *parts)


# --- Adapting ----------------------------------------------------------------------------------


def refuses(server, *names, message="Unknown parameter: '{}'."):
    """A server that takes no request with these fields."""

    def script(prompt, n):
        wrong = next((name for name in names if name in server.asked[-1]), None)
        return error(400, message.format(wrong)) if wrong else reply("ok")

    server.script = script


def refuses_if(server, wrong, message, status=400):
    server.script = lambda prompt, n: (
        error(status, message) if wrong(server.asked[-1]) else reply("ok")
    )


def test_the_other_limit_is_sent_and_told_once(server, tmp_path):
    refuses(
        server, "max_tokens", message="Unsupported parameter: '{}'. Use 'max_completion_tokens'"
    )
    found, told, _ = run(server, "a", "b", memory=tmp_path)
    assert len(found) == 2 and [one.requests for one in found.values()] == [2, 1]
    assert [set(request.LIMITS) & set(b) for b in server.asked] == [
        {"max_tokens"},
        {"max_completion_tokens"},
        {"max_completion_tokens"},
    ]
    place = f"m at {server.url}"
    assert told == [f"{place}: max_completion_tokens is sent instead of max_tokens"]
    found, told, _ = run(server, "c", memory=tmp_path)  # a rerun
    assert told == [] and len(server.asked) == 4 and found["c"].requests == 1
    kept = json.loads((tmp_path / "service.json").read_text())
    assert (kept["api"], kept["model"], kept["limit"]) == (server.url, "m", "max_completion_tokens")


def test_all_that_is_refused_is_left_out_one_after_the_other(server):
    refuses(server, "max_tokens", "seed", "temperature", "stream")
    found, told, _ = run(server, "a", "b")
    assert [one.requests for one in found.values()] == [5, 1] and len(told) == 4
    assert set(server.asked[-1]) == {"model", "messages", "max_completion_tokens"}


def test_a_service_that_only_streams_is_read(server):
    stream = page(
        b'data: {"choices": [{"delta": {"content": "o"}}]}\n\n'
        b'data: {"choices": [{"delta": {"content": "k"}, "finish_reason": "stop"}]}\n\n'
        b"data: [DONE]\n\n",
        "text/event-stream",
    )
    server.script = lambda prompt, n: (
        stream if server.asked[-1]["stream"] else error(400, "stream must be true: only streams")
    )
    found, told, _ = run(server, "a")
    assert found["a"].text == "ok" and "a stream is read" in told[0]


@pytest.mark.parametrize(
    "roles, message, role, content, requests",
    [
        (["system"], "role 'system' is not supported; use 'developer'", "developer", "p", 2),
        (["system"], "System role not supported", "user", "Be brief.\n\np", 2),
        (["system", "developer"], "Developer instruction is not enabled", "user", None, 2),
        (["system", "developer"], "unknown role 'developer' or 'system' here", "user", None, 3),
    ],
)
def test_a_system_prompt_finds_its_place(server, roles, message, role, content, requests):
    refuses_if(server, lambda b: b["messages"][0]["role"] in roles, message)
    _, told, _ = run(server, "p", asking=how(system="Be brief."))
    last = server.asked[-1]["messages"]
    assert last[0]["role"] == role and last[-1]["content"] == (content or "Be brief.\n\np")
    assert len(told) == 1 and "the system prompt" in told[0] and len(server.asked) == requests


def test_a_temperature_that_is_refused_is_told(server):
    refuses_if(
        server,
        lambda b: b.get("temperature", 1) != 1,
        "'temperature' does not support 0.7 with this model. Only the default (1) is supported.",
    )
    _, told, _ = run(server, "a", "b")
    assert "temperature" not in server.asked[-1] and len(server.asked) == 3
    assert told == [
        f"m at {server.url}: no temperature is sent: the service's own (usually 1) holds"
    ]


@pytest.mark.parametrize("death", [cut_before, error(500, "EngineDeadError")], ids=["lost", "500"])
def test_a_server_that_dies_of_a_seed_gets_none(server, pauses, tmp_path, death):
    server.script = lambda prompt, n: death if "seed" in server.asked[-1] else reply("ok")
    found, told, _ = run(server, "a", "b", "c", memory=tmp_path)
    assert len(found) == 3 and len(server.asked) == 4 and len(pauses) == 1
    assert told == [f"m at {server.url}: no seed is sent: its answers cannot be drawn again"]
    run(server, "d", memory=tmp_path)
    assert len(server.asked) == 5 and "seed" not in server.asked[-1]


def test_a_server_that_answered_with_a_seed_keeps_it(server, pauses, tmp_path):
    """A 500 that comes later has another cause; in a rerun too."""
    server.script = lambda prompt, n: (
        error(500) if (prompt, n) != ("a", 0) and n == 0 else reply("ok")
    )
    assert len(run(server, "a", "b", memory=tmp_path)[0]) == 2
    assert len(run(server, "c", memory=tmp_path)[0]) == 1
    assert all("seed" in b for b in server.asked) and len(server.asked) == 5


def test_a_gateway_that_is_away_is_no_death_of_a_seed(server, pauses):
    server.script = lambda prompt, n: error(502) if n == 0 else reply("ok")
    assert len(run(server, "a", "b")[0]) == 2
    assert all("seed" in b for b in server.asked) and len(server.asked) == 4


def test_what_the_user_set_is_not_changed(server):
    refuses(server, "seed")
    found, _, said = run(server, "a", "b", extra={"seed": 5})
    assert found == {} and "Unknown parameter: 'seed'" in said


def test_where_nothing_else_can_be_sent_it_ends_with_what_helps(server):
    refuses(server, "max_tokens", "max_completion_tokens")
    found, _, said = run(server, "a", "b")
    assert found == {} and len(server.asked) == 2
    assert "--omit leaves a field out, --extra-body sets others" in said


def test_an_answer_that_was_asked_for_earlier_unlearns_nothing(server, tmp_path):
    old, new = Taken(answered=True), Taken(answered=True, temperature=False)
    with Service(Endpoint(base_url=server.url, model="m"), tmp_path) as service:
        service.learn(old)
        service.taken = new  # another question was refused, and taught it
        with pytest.warns(UserWarning, match="no temperature is sent"):
            service.learn(new)
        service.learn(old)
    assert service.taken == remembered(tmp_path) == new


def test_a_file_that_cannot_be_read_teaches_anew(tmp_path):
    (tmp_path / "service.json").write_text("{")
    assert remembered(tmp_path) == remembered(None) == Taken()
