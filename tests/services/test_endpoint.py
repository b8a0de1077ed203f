"""The chat API.

What is sent, what is read, and what becomes of every trouble, against the test double of
`servers.py`.
"""

import json
import logging
import socket
import threading
import time

import pytest
from batching import completion
from helpers import says, table
from servers import KEY, cut_before, cut_within, error, page, reply, silent, trickle

from dsi_core.models.sampling import Sampling
from dsi_core.services import batch, client
from dsi_core.services import endpoint as api
from dsi_core.services.billing import Allowance, Lost, Usage
from dsi_core.services.endings import Ending
from dsi_core.services.reply import Reply
from dsi_core.services.request import draw_seed
from dsi_core.services.service import Service
from dsi_core.services.trial import NONSENSE, EndpointError, Trial
from dsi_core.settings.schema import Endpoint


def of(server, **changes) -> Endpoint:
    return Endpoint(
        **{
            "base_url": server.url,
            "model": "m-1",
            "key_env": "TEST_KEY",
            "attempts": 3,
            "patience": 0,
            "timeout": 5,
            **changes,
        }
    )


def ask(server, *prompts, limit=8, known=False, **changes) -> tuple[dict, str | None]:
    """The answers by prompt that came before an error, and the error's text.

    known: the service has answered before.
    """
    found, service = {}, (proven if known else met)(server, **changes)
    try:
        for row, answer in api.answers(service.endpoint, todo(*prompts), how(1.0, limit), service):
            found[row.prompt] = answer.text
    except EndpointError as caught:
        assert caught.__context__ is None and caught.__cause__ is None
        return found, str(caught)
    return found, None


def how(temperature=0.0, limit=8, seed=0):
    return Sampling(seed, temperature, 1, limit, 1)


def todo(*prompts):
    return table("sample_id prompt draw", *[(f"s-{p}", p, 0) for p in prompts])


def one(server, service=None, **changes) -> Reply:
    known = service or Service(of(server, **changes))
    ((_, said),) = api.answers(known.endpoint, todo("p"), how(), known)
    return said


def met(server, **changes) -> Service:
    return Service(of(server, **changes))


def proven(server, **changes) -> Service:
    """A service that has answered, so that several questions are asked at a time."""
    service = met(server, **changes)
    service.proven = True
    return service


def test_answers_come_in_as_they_arrive(server):
    release = threading.Event()

    def script(prompt, n):
        if prompt == "slow":
            release.wait(5)
        return reply(f" to {prompt}\n")

    server.script = script
    questions = table("sample_id prompt draw", ("a", "slow", 0), ("b", "fast", 0), ("b", "fast", 1))
    order, total = [], 0
    sampling = how(0.7, 9, seed=3)
    service = proven(server, concurrency=2)
    for row, answer in api.answers(service.endpoint, questions, sampling, service):
        order.append((row.sample_id, row.draw, answer.text))
        total += answer.usage.written
        if len(order) == 2:
            release.set()
    assert order == [("b", 0, "to fast"), ("b", 1, "to fast"), ("a", 0, "to slow")] and total == 9
    assert all(
        (b["model"], b["temperature"], b["max_tokens"]) == ("m-1", 0.7, 9) for b in server.asked
    )
    assert {b["seed"] for b in server.asked} == {
        draw_seed(3, *r) for r in [("a", 0), ("b", 0), ("b", 1)]
    }
    assert len({b["seed"] for b in server.asked}) == 3
    assert draw_seed(3, "a", 0) != draw_seed(4, "a", 0)
    assert all(h["authorization"] == f"Bearer {KEY}" for h in server.headers)
    assert "another-server" not in str(server.headers)


def test_what_an_answer_holds(server):
    server.script = lambda prompt, n: reply("half a sent", finish="length", tokens=8)
    half = Reply("half a sent", "length", Ending.LENGTH, Usage(written=8), model="served-1")
    assert one(server) == half
    server.script = lambda prompt, n: reply("", usage=None, model=None)
    assert one(server) == Reply("", "stop")
    server.script = lambda prompt, n: reply(None, finish="content_filter")
    withheld = Reply("", "content_filter", Ending.FILTERED, Usage(written=3), model="served-1")
    assert one(server) == withheld
    server.script = lambda prompt, n: reply("half a pair \ud83d, a whole \U0001f600, \x00")
    assert one(server).text == "half a pair \ufffd, a whole \U0001f600, \x00"
    server.script = lambda prompt, n: reply("a", finish="stop: \ud83d", model="m\ud83d")
    assert (one(server).finish, one(server).model) == ("stop: \ufffd", "m\ufffd")
    server.script = lambda prompt, n: reply("a", finish="stop:" + "F" * 10**6, model="M" * 10**6)
    assert one(server).finish == "stop:" + "F" * 195 and one(server).model == "M" * 200
    assert one(server).ending is Ending.COMPLETE


def test_no_question_no_request(server):
    assert ask(server) == ({}, None) and server.asked == []


@pytest.mark.parametrize(
    "header, low, high", [("2.5", 2.5, 2.5), ("86400", 120, 120), ("0", 1, 2), ("soon", 1, 2)]
)
def test_429_waits_as_the_server_asks(server, pauses, header, low, high):
    server.script = lambda prompt, n: (
        error(429, **{"Retry-After": header}) if n == 0 else reply("ok")
    )
    assert ask(server, "p") == ({"p": "ok"}, None)
    assert len(pauses) == 1 and low <= pauses[0] <= high


TROUBLES = {
    "500": (error(500, "broken"), "status 500"),
    "503 page": (
        (503, {"Content-Type": "text/html"}, b"<html>busy</html>"),
        "status 503 (request 2 of 2): <html>busy",
    ),
    "408": (error(408), "status 408"),
    "silent": (silent, "no complete answer within 0.3 s (a longer --timeout"),
    "trickle": (trickle, "no complete answer within 0.3 s"),
    "cut before": (cut_before, "connection failed"),
    "cut within": (cut_within, "connection failed"),
    "half JSON": (page(b'{"choices": ['), 'not JSON: {"choices": ['),
    "page": (
        page(b"<html>\n\x1b[31m Sign in</html>", "text/html"),
        "not JSON: <html> [31m Sign in</html>",
    ),
    "empty body": (page(b""), "an empty reply"),
    "latin-1": (
        page('{"choices": [{"message": {"content": "Stra\xdfe"}}]}'.encode("latin-1")),
        "not UTF-8",
    ),
    "brackets": (page(b"[" * 100_000), "not JSON"),
    "no choices": (reply("", choices=[]), "no message in"),
    "error as 200": (page(b'{"error": {"message": "upstream is gone"}}'), "upstream is gone"),
    "a list": (page(b"[1]"), "no message in [1]"),
    "no message": (reply("", choices=[{"message": None}]), "no message in"),
    "broken off": (reply("half a sent", finish="error"), "the service broke off: error"),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_trouble_then_success_and_trouble_for_ever(server, pauses, name):
    trouble, message = TROUBLES[name]
    server.script = lambda prompt, n: reply("ok") if prompt == "once" and n == 1 else trouble
    timeout = 0.3 if trouble in (silent, trickle) else 5
    found, text = ask(server, "once", "always", "never", concurrency=1, timeout=timeout, attempts=2)
    assert found == {"once": "ok"} and server.prompts() == ["once"] * 2 + ["always"] * 2
    assert len(pauses) == 2 and all(1 <= p <= 2 for p in pauses)
    for part in (server.url, "m-1", "s-always", "request 2 of 2", message):
        assert part in text
    assert len(text) < 600 and text.isprintable() and KEY not in text


def test_pauses_grow(server, pauses):
    server.script = lambda prompt, n: error(500)
    assert "request 5 of 5" in ask(server, "p", attempts=5)[1]
    assert all(2**n <= pause <= 2**n + 1 for n, pause in enumerate(pauses)) and len(pauses) == 4


@pytest.mark.parametrize("status", [401, 404])
def test_a_refusal_is_not_repeated(server, pauses, status):
    server.script = lambda prompt, n: error(status, "wrong\nrequest", **{"Retry-After": "1"})
    found, text = ask(server, "p", "q", concurrency=1)
    assert found == {} and pauses == [] and server.prompts() == ["p"]
    said = f"m-1 at {server.url}, sample s-p: status {status}: wrong request"
    assert text.startswith(said)


def test_nobody_listens(pauses):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://name:word@127.0.0.1:{free.getsockname()[1]}/v1?token=word"
    endpoint = Endpoint(base_url=address, model="m", attempts=2)
    with pytest.raises(EndpointError) as caught:
        list(api.answers(endpoint, todo("p"), how()))
    says(caught, "m at http://127.0.0.1:", "connection failed", "refused", "--base-url")
    assert "word" not in str(caught.value)


def test_a_connection_that_is_refused_was_not_billed(pauses):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    service = Service(Endpoint(base_url=address, model="m", attempts=2, patience=0))
    service.proven = True
    vain = []
    with pytest.raises(EndpointError):
        list(api.answers(service.endpoint, todo("p"), how(), service, unanswered=vain))
    assert [(row.prompt, lost) for row, lost in vain] == [("p", Lost())]


def test_no_more_is_asked_than_is_allowed(server, pauses):
    """Requests are allowed for 4: a 429 takes none, nonsense one, and the last is begun in vain."""
    replies = {"a": [error(429), reply("A")], "b": [(200, {}, b"?"), reply("B")]}
    server.script = lambda prompt, n: replies.get(prompt, [(200, {}, b"?")] * 9)[n]
    service, vain = met(server, concurrency=1), []
    allowed = Allowance(4, lambda prompt: 1.0)
    asked = todo(*"abcd")
    answers = api.answers(
        service.endpoint, asked, how(), service, unanswered=vain, allowance=allowed
    )
    assert [(row.prompt, said.text) for row, said in answers] == [("a", "A"), ("b", "B")]
    assert [(row.prompt, lost.requests) for row, lost in vain] == [("c", 1), ("d", 0)]
    assert len(server.asked) == 5 and allowed.left == 0


def test_an_allowance_is_not_lost_to_rounding():
    allowed = Allowance(0.3, lambda prompt: 0.1)
    assert [allowed.take("p") for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize(
    "value, state",
    [(None, "is not set"), (" ", "is not set"), ("sk-a b", "holds"), ("sk-\u2026", "holds")],
)
def test_an_unusable_key_is_named_before_anything_is_asked(server, monkeypatch, value, state):
    monkeypatch.delenv("TEST_KEY")
    if value:
        monkeypatch.setenv("TEST_KEY", value)
    with pytest.raises(ValueError) as caught:
        list(api.answers(of(server), todo("p"), how()))
    says(caught, "TEST_KEY", state)
    assert server.asked == [] and "sk-" not in str(caught.value)


def test_a_key_with_a_newline_from_its_file_works(server, monkeypatch):
    monkeypatch.setenv("TEST_KEY", KEY + "\n")
    server.script = lambda prompt, n: reply("ok")
    assert one(server).text == "ok" and server.headers[0]["authorization"] == f"Bearer {KEY}"


def test_without_a_key_none_is_sent_from_elsewhere(server):
    server.script = lambda prompt, n: reply("ok")
    assert one(server, key_env=None).text == "ok"
    assert "another-server" not in str(server.headers) and KEY not in str(server.headers)


@pytest.mark.parametrize("url", ["localhost:8000/v1", "", "ftp://host/v1", "https://"])
def test_a_base_url_that_is_none(url):
    with pytest.raises(ValueError) as caught:
        Service(Endpoint(base_url=url, model="m"))
    says(caught, "base_url", repr(url))


def test_the_key_is_never_told(server, pauses, caplog):
    caplog.set_level(logging.DEBUG)
    spaces = b" " * 5990  # the key lies across the cut of the excerpt
    echoes = [
        error(401, f"Bearer {KEY} is wrong"),
        error(500, KEY),
        (500, {}, KEY.encode()),
        page(f"<p>{KEY}".encode()),
        page(spaces + KEY.encode()),
        reply("", id=KEY, choices=[{}]),
        page(b'{"error": "%s"}' % KEY.replace("/", "\\/").encode()),
        (404, {"Content-Type": "application/json"}, json.dumps({"detail": [KEY]}).encode()),
    ]
    service = Service(of(server, attempts=2))
    for echo in echoes:
        server.script = lambda prompt, n, echo=echo: echo
        with pytest.raises(EndpointError) as caught:
            one(server, service)
        raised = caught.value
        shown = f"{raised!r} {raised} {caught.getrepr(chain=True)} {vars(raised)}"
        assert KEY[:8] not in shown
        assert caught.value.__context__ is None and caught.value.__cause__ is None
    assert len(server.asked) > len(echoes) and caplog.records
    assert KEY[:8] not in caplog.text and KEY[:8] not in str([vars(r) for r in caplog.records])
    assert KEY not in repr(of(server)) and KEY not in repr(service)


def refusal(said):
    return reply("", choices=[{"message": {"refusal": said}, "finish_reason": "stop"}])


def streamed(*texts):
    pieces = [{"choices": [{"delta": {"content": text}}]} for text in texts]
    return page("".join(f"data: {json.dumps(one)}\n\n" for one in pieces).encode())


ECHOES = {
    "text": (reply(f"Bearer {KEY}, is it?"), "Bearer [key], is it?"),
    "twice": (reply(f"{KEY}{KEY}"), "[key][key]"),
    "as JSON writes it": (reply(KEY.replace("/", "\\/")), "[key]"),
    "in parts": (reply([{"type": "text", "text": half} for half in (KEY[:9], KEY[9:])]), "[key]"),
    "streamed": (streamed("a ", KEY[:9], KEY[9:]), "a [key]"),
    "refusal": (refusal(f"not for {KEY}"), "not for [key]"),
    "across the cut": (reply(f"{'a' * 505}{KEY}"), f"{'a' * 505}[key]"),  # 8 tokens: 512 bytes
    "finish": (reply("a", finish=f"stop: {KEY}"), "a"),
    "model": (reply("a", model=f"for {KEY}"), "a"),
    "model, across the cut": (reply("a", model=f"{'m' * 190}{KEY}"), "a"),
}


@pytest.mark.parametrize("how", ECHOES)
def test_the_key_is_in_nothing_that_is_kept_of_an_answer(server, how):
    echo, text = ECHOES[how]
    server.script = lambda prompt, n: echo
    said = one(server)
    assert said.text == text and KEY[:4] not in repr(said) and "[key]" in repr(said)
    assert said.requests == 1 and said.ending in (Ending.COMPLETE, Ending.UNKNOWN)


def test_the_key_is_in_nothing_that_is_kept_of_a_batch(batches, tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_KEY", KEY)
    batches.answers = lambda prompt: (200, completion(f"to {prompt}: {KEY}"))
    batches.looks = 1
    with Service(of(batches)) as service:
        todos, lost = todo(*"abc"), []
        got = list(batch.batched(service, todos, how(), tmp_path, lost))
    assert sorted(said.text for _, said in got) == ["to a", "to b: [key]", "to c: [key]"]


def test_a_login_is_hidden_as_a_whole_and_in_parts(server):
    """Its password alone would leave the name; a query of one word stays readable in answers."""
    server.script = lambda prompt, n: reply("key:word-0123 and word-0123, key=word")
    url = server.url.replace("//", "//key:word-0123@")
    assert one(server, base_url=f"{url}?q=key", key_env=None).text == "[key] and [key], key=word"


def test_a_failing_question_does_not_lose_the_answers_under_way(server):
    arrived, failed = threading.Barrier(3), threading.Event()

    def script(prompt, n):
        arrived.wait(5)  # all three are under way
        if prompt == "bad":
            failed.set()
            return error(404, "gone")
        failed.wait(5)
        time.sleep(0.3)
        return reply(f"to {prompt}")

    server.script = script
    found, text = ask(server, "good", "bad", "better", *"abcdefgh", concurrency=3, known=True)
    assert found == {"good": "to good", "better": "to better"}
    assert "s-bad" in text and "status 404" in text and "gone" in text
    assert sorted(server.prompts()) == ["bad", "better", "good"]  # nothing was begun after it


def test_a_refusal_that_is_held_back_is_unanswered_where_another_question_fails(server, pauses):
    """Its request that was lost may have been billed."""
    said = {"a": reply("ok"), "c": error(401, "who?")}
    server.script = lambda prompt, n: (
        said.get(prompt) or (cut_within if n == 0 else error(400, "no"))
    )
    service, vain = met(server, concurrency=1), []
    with pytest.raises(EndpointError):
        list(api.answers(service.endpoint, todo(*"abc"), how(), service, unanswered=vain))
    lost = {row.prompt: took for row, took in vain}
    assert lost == {"b": Lost(1, 1), "c": Lost()}


def test_what_is_under_way_when_the_asking_is_broken_off_is_counted_once(server):
    """One was answered, one is tried again, two are on their way, and two were not begun."""
    way, goes_on = threading.Barrier(3), threading.Event()

    def script(prompt, n):
        if prompt == "again":
            return error(500, "broken") if n else cut_within
        if prompt in ("way", "too"):
            way.wait(10)
            goes_on.wait(10)
        return reply("ok")

    server.script, vain = script, []
    service = proven(server, concurrency=3, patience=60, attempts=9)
    questions = todo("one", "again", "way", "too", "late", "later")
    asking = api.answers(service.endpoint, questions, how(), service, unanswered=vain)
    assert next(asking)[0].prompt == "one"
    way.wait(10)
    asking.close()
    goes_on.set()
    lost = {row.prompt: took for row, took in vain if took.requests}
    assert lost.pop("one") == Lost(1, 1)  # given to who closed it before he said that he kept it
    assert lost == {"again": Lost(1, 1), "way": Lost(1, 1), "too": Lost(1, 1)}
    time.sleep(0.3)  # the answers come in vain
    assert len(vain) == len({row.prompt for row, _ in vain})


def test_a_failure_ends_the_pauses_of_the_others(server):
    both, waiting = threading.Barrier(2), threading.Event()

    def script(prompt, n):
        both.wait(5)
        if prompt == "waits":
            waiting.set()
            return error(429, **{"Retry-After": "60"})
        waiting.wait(5)
        time.sleep(0.1)
        return error(401, "who?")

    server.script = script
    started = time.monotonic()
    found, text = ask(server, "waits", "refused", concurrency=2, known=True)
    assert found == {} and "s-refused" in text and "who?" in text
    assert time.monotonic() - started < 5 and len(server.asked) == 2


def test_a_consumer_that_stops_begins_no_more(server):
    server.script = lambda prompt, n: reply("ok")
    answers = api.answers(of(server, concurrency=1), todo(*map(str, range(200))), how())
    next(answers)
    answers.close()
    time.sleep(0.2)
    seen = len(server.asked)
    time.sleep(0.2)
    assert len(server.asked) == seen < 200


def test_our_own_errors_keep_their_kind(server, monkeypatch):
    server.script = lambda prompt, n: reply("ok")
    run = Trial.run
    monkeypatch.setattr(
        Trial, "run", lambda trial: 1 // (trial.row.prompt == "good") and run(trial)
    )
    answers = api.answers(of(server, concurrency=1), todo("good", "bad"), how())
    assert next(answers)[1].text == "ok"
    with pytest.raises(ZeroDivisionError):
        next(answers)


def test_a_huge_answer_is_cut_and_a_boundless_one_refused(server, pauses, monkeypatch):
    server.script = lambda prompt, n: reply("\u20ac" * 3_500_000)
    assert ask(server, "p", limit=10) == (
        {"p": "\u20ac" * (640 // 3)},
        None,
    )  # 10.5 MB; whole characters only
    monkeypatch.setattr(client, "BODY_BYTES", 1000)
    found, text = ask(server, "q")
    assert found == {} and "more than 1000 bytes" in text


def test_many_questions_at_once(server):
    server.script = lambda prompt, n: error(500) if n == 0 and prompt == "7" else reply(prompt)
    prompts = [str(i) for i in range(40)]
    assert ask(server, *prompts, concurrency=8) == ({p: p for p in prompts}, None)
    assert len(server.asked) == 41


def test_a_prompt_that_gets_no_choice_is_left_out_where_others_are_answered(server, pauses):
    bare = page(b'{"object": "chat.completion", "choices": []}')
    server.script = lambda prompt, n: bare if prompt == "bad" else reply("yes")
    with pytest.warns(UserWarning, match="this prompt is left out"):
        found, failed = ask(server, "a", "bad", "b")
    assert failed is None and found == {"a": "yes", "bad": "", "b": "yes"}
    assert server.prompts().count("bad") == NONSENSE
    found, failed = ask(server, "bad")
    assert found == {} and "no message in" in failed


@pytest.mark.parametrize(
    "location, said",
    [
        (
            "https://elsewhere.test/v1/chat/completions",
            "(give --base-url https://elsewhere.test/v1",
        ),
        ("/login?next=a", "/login (asked was"),
        ("/v1/chat/completions/", "it sends to http://127.0.0.1"),
        ("http://[a", "it sends to http://[a"),
        ("", "it sends elsewhere, and not where"),
    ],
)
def test_a_service_that_sends_elsewhere(server, location, said):
    server.script = lambda prompt, n: (307, {"Location": location}, b"")
    assert said in ask(server, "p")[1] and len(server.asked) == 1


def test_a_key_of_a_letter_leaves_messages_readable(server, monkeypatch):
    monkeypatch.setenv("TEST_KEY", "Q")
    server.script = lambda prompt, n: error(404, "no Q")
    assert ": no [key] (" in ask(server, "p")[1]


def test_a_key_that_is_a_word_leaves_answers_as_they_are(server, monkeypatch):
    """As "test" of a server that needs none; nor is the version of Azure's API one."""
    monkeypatch.setenv("TEST_KEY", "test")
    said = "The latest preview of 2024-08-01-preview is a test."
    server.script = lambda prompt, n: reply(said)
    base = f"{server.url}?api-version=2024-08-01-preview"
    assert one(server, Service(of(server, base_url=base))).text == said
