"""Waits and the number of requests at a time; no second is slept."""

import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import formatdate

import pytest

from dsi_core.services import pace
from dsi_core.services.pace import Pace, asked, backoff, seconds


def ahead(wait):
    return (datetime.now(UTC) + timedelta(seconds=wait)).isoformat().replace("+00:00", "Z")


def now(wait, times=1):
    return str(int((time.time() + wait) * times))


@pytest.mark.parametrize(
    "said, wait",
    [
        ("2.5", 2.5),
        ("1m30s", 90),
        ("6ms", 0.006),
        ("1h2m", 120),
        ("1.2s", 1.2),
        (lambda: ahead(33), 33),
        (lambda: now(33), 33),
        (lambda: now(33, 1000), 33),
        (lambda: formatdate(time.time() + 30, usegmt=True), 30),
        (lambda: formatdate(time.time() + 1e6, usegmt=True), 120),
        ("1e999", 120),
        ("86400", 120),
        (lambda: formatdate(0, usegmt=True), 0),
        (lambda: ahead(-5), 0),
        *((nothing, 0) for nothing in ("", "nan", "-5", "Tue", "soon")),
        ("Mon, 01 Jan 99999 00:00:00 GMT", 0),
    ],
)
def test_a_time_is_read_however_it_is_written(said, wait):
    found = seconds(said() if callable(said) else said)
    assert found == pytest.approx(wait, abs=1.5 if callable(said) else 1e-6)


@pytest.mark.parametrize(
    "text, wait",
    [
        ("Rate limit reached. Please try again in 20s. Visit https://x", 20),
        ("Please retry after 8 seconds.", 8),
        ("Please try again in 1m12.5s.", 72.5),
        ("try again in 250ms", 0.25),
        ("Please wait 1 minute", 60),
        ('{"retryDelay": "34s"}', 34),
        ("Too many requests, wait a bit", 0),
        ("3 requests in 20s are allowed", 0),
    ],
)
def test_a_message_may_tell_the_wait(text, wait):
    assert asked({}, text) == pytest.approx(wait)


@pytest.mark.parametrize(
    "headers, wait",
    [
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "9", "x-ratelimit-reset-requests": "50s"}, 9),
        ({"x-ratelimit-reset-requests": "50s", "x-ratelimit-reset-tokens": "6ms",
          "x-ratelimit-remaining-requests": "0", "x-ratelimit-remaining-tokens": "900"}, 50),
        ({"x-ratelimit-reset-requests": "50s", "x-ratelimit-reset-tokens": "2s"}, 2),
        ({"x-ratelimit-reset": "17"}, 17),
        ({"ratelimit-reset": "17"}, 17),
        ({"retry-after-ms": "soon"}, 0),
        ({}, 0),
    ],
)  # fmt: skip
def test_headers_tell_the_wait(headers, wait):
    assert asked(headers) == pytest.approx(wait)


def test_anthropics_limits_begin_anew_at_a_date():
    headers = {
        "anthropic-ratelimit-requests-remaining": "3",
        "anthropic-ratelimit-requests-reset": ahead(2),
        "anthropic-ratelimit-input-tokens-remaining": "0",
        "anthropic-ratelimit-input-tokens-reset": ahead(40),
    }
    assert asked(headers) == pytest.approx(40, abs=1.5)


def test_pauses_grow_to_a_minute():
    assert [backoff(n, 0.5) for n in (1, 2, 3, 7, 10**6)] == [1.5, 2.5, 4.5, 60.5, 60.5]


def test_fewer_at_a_time_when_a_service_has_too_many_and_slowly_more_again():
    rate, stop = Pace(8), threading.Event()
    for _ in range(4):
        with rate.turn(stop) as number:
            pass
    rate.slower(number, 0)
    rate.slower(number - 1, 0)  # begun before: it knows nothing new
    assert rate.allowed == 4
    for _ in range(4):
        rate.answered()
    assert 4.9 < rate.allowed < 5
    for _ in range(100):
        rate.answered()
    assert rate.allowed == 8
    for _ in range(9):
        with rate.turn(stop) as number:
            rate.slower(number, 0)
    assert rate.allowed == 1


def test_never_more_at_a_time_than_allowed():
    rate, stop, guard, under_way, most = Pace(3), threading.Event(), threading.Lock(), 0, 0
    rate.allowed = 2.9

    def ask():
        nonlocal under_way, most
        with rate.turn(stop):
            with guard:
                under_way += 1
                most = max(most, under_way)
            time.sleep(0.01)
            with guard:
                under_way -= 1

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2


def test_all_requests_wait_when_a_service_says_so(pauses):
    rate, stop = Pace(2), threading.Event()
    rate.slower(1, 30)
    rate.slower(2, 1)  # asks for less, and shortens nothing
    with rate.turn(stop):
        assert pauses == [pytest.approx(30, abs=0.1)]


def test_a_pause_is_really_made_and_ends_with_the_run():
    stop, begun = threading.Event(), time.monotonic()
    pace.Clock().wait(0.1, stop)
    assert time.monotonic() - begun >= 0.1
    stop.set()
    pace.Clock().wait(60, stop)
    assert time.monotonic() - begun < 5
