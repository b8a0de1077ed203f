"""What ends a run and what does not: refused prompts, nonsense, limits of rate, no quota."""

import json
import threading
import time

import pytest
import servers
from helpers import table, telling
from servers import error, page, reply

from dsi_core.models.sampling import Sampling
from dsi_core.services import endpoint as api
from dsi_core.services import pace
from dsi_core.services.billing import Lost
from dsi_core.services.endings import Ending
from dsi_core.services.service import Service
from dsi_core.services.trial import PROBE, EndpointError
from dsi_core.settings.schema import Endpoint

NESTED = b'{"a":' * 900 + b"1" + b"}" * 900
FILTER = error(400, "The response was filtered", code="content_filter")


def run(url, questions, leave_out=False, **changes):
    """(the replies by (sample, draw), what was told, the error) of a run."""
    found, said = {}, None
    endpoint = Endpoint(**{"base_url": url, "model": "m-1", "key_env": "TEST_KEY", **changes})
    asking = Sampling(0, 1.0, 1, 8, 1)
    with telling() as told:
        try:
            for row, got in api.answers(endpoint, questions, asking, leave_out=leave_out):
                found[row.sample_id, row.draw] = got
        except EndpointError as caught:
            said = str(caught)
    return found, [str(one.message) for one in told], said


def todo(prompts, draws=1):
    rows = [(f"s-{p}", p, draw) for p in prompts for draw in range(draws)]
    return table("sample_id prompt draw", *rows)


# --- Prompts that are refused ------------------------------------------------------------------


@pytest.mark.parametrize("where", ["first", "later"])
def test_a_filtered_prompt_is_an_answer_and_asked_once(server, where):
    """Also the first of all; its other draws need no request of their own."""
    bad = "a" if where == "first" else "c"
    server.script = lambda prompt, n: FILTER if prompt == bad else reply("ok")
    found, told, said = run(server.url, todo("abcd", draws=3), concurrency=1)
    assert said is None and len(found) == 12 and len(server.asked) == 10
    refused = [found[f"s-{bad}", draw] for draw in range(3)]
    assert all(
        (r.text, r.ending, r.finish) == ("", Ending.FILTERED, "content_filter") for r in refused
    )
    assert [r.requests for r in refused] == [1, 0, 0] and not any(r.lost.requests for r in refused)
    assert len(told) == 1 and f"s-{bad}" in told[0] and "never asked again" in told[0]


def test_every_prompt_may_be_filtered(server):
    server.script = lambda prompt, n: FILTER
    found, _, said = run(server.url, todo("abcdef"))
    assert said is None and len(found) == len(server.asked) == 6


@pytest.mark.parametrize(
    "trouble, finish",
    [
        (error(400, "maximum context length is 9 tokens"), "too long"),
        (error(413), "too long"),
        (error(451), "refused"),
        (error(422, "this one I do not like"), "refused"),
        ((400, {}, NESTED), "refused"),
    ],
)
def test_a_prompt_that_is_refused_among_others_is_skipped(server, trouble, finish):
    server.script = lambda prompt, n: trouble if prompt in "ad" else reply("ok")
    found, told, said = run(server.url, todo("abcdef"), concurrency=2)
    assert said is None and len(found) == len(server.asked) == 6 and len(told) == 2
    for sample in ("s-a", "s-d"):
        got = found[sample, 0]
        assert (got.text, got.finish, got.refused) == ("", finish, True)


@pytest.mark.parametrize("before", [0, 2])
def test_three_refused_in_a_row_are_the_services_own_fault(server, before):
    """No prompt is blamed, and none counted as answered, when it is the request that is wrong."""
    server.script = lambda prompt, n: reply("ok") if prompt in "ab"[:before] else error(400, "bad")
    found, told, said = run(server.url, todo("abcdefgh"), concurrency=1)
    assert len(found) == before and told == [] and before + 3 <= len(server.asked) <= before + 4
    assert "status 400" in said and said.endswith("bad (3 questions in a row were refused)")


def test_what_the_service_is_blamed_for_is_no_answer_though_one_comes_late(server):
    late = threading.Event()

    def script(prompt, n):
        if prompt == "late":
            late.wait(10)
            time.sleep(0.3)  # the third refusal is read by now
        if prompt in "bcd":
            if prompt == "d":
                late.set()
            return error(400, "bad")
        return reply("ok")

    server.script, vain = script, []
    service = Service(Endpoint(base_url=server.url, model="m-1", concurrency=2))
    service.proven, found = True, []
    with service, pytest.raises(EndpointError, match="3 questions in a row"):
        asking = Sampling(0, 1.0, 1, 8, 1)
        questions = todo(["a", "late", "b", "c", "d"])
        for row, _ in api.answers(service.endpoint, questions, asking, service, unanswered=vain):
            found.append(row.prompt)
    assert set(found) <= {"a", "late"}
    assert {row.prompt for row, _ in vain} >= set("bcd")


def test_prompts_too_long_from_the_first_on_are_the_services_own_fault(server):
    server.script = lambda prompt, n: error(400, "maximum context length is 9 tokens")
    found, told, said = run(server.url, todo("abcdefgh"), concurrency=1)
    assert found == {} and told == [] and len(server.asked) == 3
    assert "sample s-a: status 400" in said and "9 tokens (3 questions in a row" in said


def test_two_refused_and_nothing_else_is_no_answer(server):
    server.script = lambda prompt, n: error(400, "bad")
    found, _, said = run(server.url, todo("ab"))
    assert found == {} and "sample s-a: status 400" in said


def test_an_error_within_a_200_is_read_as_one(server):
    inner = page(b'{"error": {"code": 400, "message": "flagged by content_filter"}}')
    server.script = lambda prompt, n: inner if prompt == "b" else reply("ok")
    found, _, said = run(server.url, todo("abc"), concurrency=1)
    assert said is None and found["s-b", 0].ending is Ending.FILTERED and len(server.asked) == 3


def test_what_is_barred_by_tls_was_not_billed(server):
    endpoint = Endpoint(base_url=server.url.replace("http:", "https:"), model="m-1")
    vain = []
    with pytest.raises(EndpointError, match="no TLS"):
        list(api.answers(endpoint, todo("a"), Sampling(0, 1.0, 1, 8, 1), unanswered=vain))
    assert [lost for _, lost in vain] == [Lost()]


# --- Nonsense ----------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize(
    "what", [page(b"<html>Sign in</html>", "text/html"), page(b'{"status": "ok"}'), page(b"")]
)
def test_nonsense_from_the_first_question_on_costs_three_requests(
    server, pauses, what, concurrency
):
    server.script = lambda prompt, n: what
    url = server.url.removesuffix("/v1")
    found, _, said = run(url, todo("abcdefgh"), concurrency=concurrency)
    assert found == {} and server.prompts() == ["a"] * 3
    assert f"asked was {url}/chat/completions; is it --base-url {url}/v1?" in said


def test_nonsense_later_stops_after_three_of_one_question(server, pauses):
    server.script = lambda prompt, n: page(b"<html>") if prompt == "c" else reply("ok")
    found, _, said = run(server.url, todo("abc"), concurrency=1)
    assert len(found) == 2 and server.prompts().count("c") == 3
    assert "is --base-url that of an API?" in said


# --- Addresses and keys ------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/", "/v1/v1"])
def test_an_address_in_another_spelling_is_the_same(server, path):
    server.script = lambda prompt, n: reply("ok")
    found, _, said = run(server.url.removesuffix("/v1") + path, todo("a"))
    assert said is None and len(found) == 1
    assert set(server.paths) == {"/v1/chat/completions"}


def test_404_shows_what_was_asked_and_what_was_probably_meant(server):
    server.script = lambda prompt, n: error(404, "Not Found")
    url = server.url.removesuffix("/v1")
    _, _, said = run(url, todo("ab"))
    assert f"asked was {url}/chat/completions; is it --base-url {url}/v1?" in said
    server.script = lambda prompt, n: error(404, "The model `m-1` does not exist")
    assert "is --model m-1 right?" in run(server.url, todo("ab"))[2]
    assert len(server.asked) == 2


def test_a_model_that_is_not_there_is_told_those_that_are(server, monkeypatch):
    server.script = lambda prompt, n: error(404, "The model `m-1` does not exist")
    listed = {"data": [{"id": name} for name in [*"abcdefghi", "org/m-1-chat"]]}

    def do_get(handler):
        content = json.dumps(listed).encode() if handler.path == "/v1/models" else b"no"
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    monkeypatch.setattr(servers.Handler, "do_GET", do_get, raising=False)
    said = run(server.url, todo("a"))[2]
    assert "is --model m-1 right? it names org/m-1-chat, " in said and said.endswith(" and 2 more)")
    listed["data"] = "none"
    assert "right?)" in run(server.url, todo("a"))[2]


def test_a_redirect_says_where_to(server):
    server.script = lambda prompt, n: (
        308,
        {"Location": "https://other.org/v1/chat/completions?key=word"},
        b"",
    )
    _, _, said = run(server.url, todo("ab"))
    assert "give --base-url https://other.org/v1)" in said and "word" not in said
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "status, key_env, hint",
    [
        (401, "TEST_KEY", "the key in TEST_KEY is not accepted"),
        (403, "TEST_KEY", "may the key in TEST_KEY use this model?"),
        (401, None, "does it need --key-env?"),
        (407, None, "the proxy wants a login"),
    ],
)
def test_who_is_not_let_in_is_told_at_once(server, status, key_env, hint):
    server.script = lambda prompt, n: error(status)
    assert hint in run(server.url, todo("ab"), key_env=key_env)[2] and len(server.asked) == 1


# --- Waiting -----------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 4])
def test_twenty_requests_a_minute_are_waited_for(server, pauses, concurrency):
    """A service that says no more than 429: 50 questions take two minutes and all are answered."""
    began = []

    def script(prompt, n):
        now = pace.CLOCK.now()
        if sum(now - at < 60 for at in began) >= 20:
            return error(429, "too many requests")
        began.append(now)
        return reply("ok")

    server.script = script
    found, told, said = run(server.url, todo(map(str, range(50))), concurrency=concurrency)
    assert said is None and len(found) == 50 and told == []
    assert sum(pauses) > 60 and len(server.asked) < 50 + 50


def test_a_service_that_is_busy_for_good_is_given_up_after_patience(server, pauses):
    server.script = lambda prompt, n: error(429, "busy") if prompt != "a" else reply("ok")
    found, _, said = run(server.url, todo("ab"), patience=200, concurrency=1)
    assert len(found) == 1 and 200 <= sum(pauses) < 330
    assert "status 429 (" in said and " requests in " in said and "--patience" in said


def test_a_service_that_answered_may_be_away_for_minutes(server, pauses):
    """A restart behind a gateway; 36 seconds were all before."""
    began = pace.CLOCK.now()
    server.script = lambda prompt, n: (
        error(502) if prompt == "b" and pace.CLOCK.now() - began < 150 else reply("ok")
    )
    found, _, said = run(server.url, todo("abc"), concurrency=1)
    assert said is None and len(found) == 3 and sum(pauses) > 140


FAILS = {
    "500": (error(500, "broken"), Lost()),
    "500 that nests": ((500, {}, NESTED), Lost()),
    "cut within": (servers.cut_within, Lost(6, 6)),
    "error as 200": (page(b'{"error": {"message": "upstream is gone"}}'), Lost(6, 6)),
    "page": (page(b"<html>blocked</html>", "text/html"), Lost(3, 3)),
}


@pytest.mark.parametrize("name", FAILS)
def test_a_prompt_on_which_alone_a_service_fails_is_left_out(server, pauses, name):
    """It answers a probe in between; its failures and the probe are counted."""
    trouble, lost = FAILS[name]
    counted = {"prompt_tokens": 5, "completion_tokens": 2}
    server.script = lambda prompt, n: (
        trouble if prompt == "b" else reply("blue", usage=counted if prompt == PROBE else None)
    )
    found, told, said = run(server.url, todo("abc"), leave_out=True, concurrency=1, patience=0)
    assert said is None and len(found) == 3 and found["s-a", 0].text == found["s-c", 0].text
    left = found["s-b", 0]
    assert (left.text, left.finish, left.ending) == ("", "failed", Ending.ERROR)
    assert not left.refused and not left.billed
    asked = server.prompts()
    assert asked.count(PROBE) == 1 and asked.count("b") == left.requests - 1
    once_more = name != "page"  # nonsense is billed: three requests, and no more
    assert asked.index("c") - asked.index(PROBE) == 1 + once_more
    assert left.lost == lost + Lost(1, 0, 5, 2) + (Lost(1, 1) if lost.requests == 6 else Lost())
    assert len(told) == 1 and "s-b" in told[0] and "never asked again" in told[0]


def test_the_very_first_prompt_may_be_one_on_which_alone_a_service_fails(server, pauses):
    """Else no rerun would come further; a service that answers no probe either is away."""
    server.script = lambda prompt, n: error(500) if prompt == "a" else reply("blue")
    found, told, said = run(server.url, todo("abc"), leave_out=True, concurrency=1, patience=0)
    assert said is None and found["s-a", 0].ending is Ending.ERROR and len(told) == 1
    assert found["s-b", 0].text == found["s-c", 0].text == "blue"
    server.script = lambda prompt, n: error(500)
    found, told, said = run(server.url, todo("abc"), leave_out=True, concurrency=1, patience=0)
    assert not found and "s-a" in said and not told


def test_an_outage_is_no_prompts_fault(server, pauses):
    server.script = lambda prompt, n: reply("ok") if prompt == "a" else error(500, "away")
    found, told, said = run(server.url, todo("abcd"), leave_out=True, concurrency=2, patience=0)
    assert len(found) == 1 and "status 500" in said and "s-a" not in said and not told
    assert "d" not in server.prompts()


def test_a_prompt_is_asked_once_more_before_it_is_left_out(server, pauses):
    server.script = lambda prompt, n: error(500) if prompt == "b" and n < 6 else reply("ok")
    found, told, said = run(server.url, todo("abc"), leave_out=True, concurrency=1, patience=0)
    assert said is None and found["s-b", 0].text == "ok" and found["s-b", 0].requests == 8
    assert server.prompts() == ["a", *"b" * 6, PROBE, "b", "c"] and not told


BUSY = pytest.mark.parametrize("trouble", [error(429, "busy"), error(503, "loaded")])


@BUSY
def test_a_service_with_too_much_to_do_is_no_prompts_fault(server, pauses, trouble):
    """It is busy, too, when it is asked for a colour: at once, or the second time."""
    for answered in (0, 1):
        probes = iter([reply("blue")] * answered)
        server.script = lambda prompt, n, probes=probes: (
            reply("ok") if prompt == "a" else next(probes, trouble) if prompt == PROBE else trouble
        )
        server.asked.clear()
        found, _, said = run(server.url, todo("abc"), leave_out=True, concurrency=1, patience=0)
        assert len(found) == 1 and "s-b" in said and "--patience" in said
        assert server.prompts().count(PROBE) == answered + 1


@BUSY
def test_who_is_too_busy_for_one_prompt_alone_never_answers_it(server, pauses, trouble):
    """Three times in turn, a pause after each: else an audit would have no end."""
    server.script = lambda prompt, n: trouble if prompt == "b" else reply("ok")
    found, told, said = run(server.url, todo("abc"), leave_out=True, concurrency=1, patience=0)
    assert said is None and len(found) == 3 and found["s-b", 0].ending is Ending.ERROR
    assert server.prompts() == ["a", *"b" * 6, PROBE, "b", PROBE, "b", PROBE, "b", "c"]
    assert len(pauses) >= 8 and len(told) == 1 and "never asked again" in told[0]
    server.asked.clear()
    found, _, said = run(server.url, todo("abc"), concurrency=1, patience=0)
    assert len(found) == 1 and "s-b" in said and PROBE not in server.prompts()


def test_a_failing_prompt_ends_an_asking_that_may_leave_out_none(server, pauses):
    """References and rephrasers answer everything, or are not complete."""
    server.script = lambda prompt, n: error(500) if prompt == "b" else reply("ok")
    found, _, said = run(server.url, todo("abc"), concurrency=1, patience=0)
    assert len(found) == 1 and "s-b" in said and PROBE not in server.prompts()


@pytest.mark.parametrize(
    "headers, wait",
    [
        ({"retry-after-ms": "7500"}, 7.5),
        ({"x-ratelimit-reset-requests": "1m2s", "x-ratelimit-remaining-requests": "0"}, 62),
        ({"Retry-After": "31"}, 31),
    ],
)
def test_waits_are_as_long_as_asked(server, pauses, headers, wait):
    server.script = lambda prompt, n: error(429, "no", **headers) if n == 0 else reply("ok")
    assert run(server.url, todo("a"))[2] is None
    assert sum(pauses) == pytest.approx(wait, abs=0.2)


@pytest.mark.parametrize(
    "trouble",
    [
        error(429, "You exceeded your current quota, please check your plan and billing details."),
        error(429, "no", code="insufficient_quota"),
        error(402, "Payment required"),
        page(b'{"error": {"code": 402, "message": "Insufficient credits"}}'),
    ],
)
def test_without_quota_it_ends_at_once(server, pauses, trouble):
    server.script = lambda prompt, n: trouble
    found, _, said = run(server.url, todo("abcd"), concurrency=4)
    assert found == {} and len(server.asked) == 1 and pauses == []
    assert "no quota or credit is left there; a rerun goes on once there is" in said


def test_a_host_that_never_answered_is_given_up_after_few_tries(server, pauses):
    server.script = lambda prompt, n: error(500)
    _, _, said = run(server.url, todo("ab"))
    assert len(server.asked) == 6 and sum(pauses) < 40 and "request 6 of 6" in said
