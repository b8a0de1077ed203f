"""Batches: submitted once, whatever happens between two steps; collected, whole or in part.

The service is a test double of files and batches on loopback.
"""

import gzip
import json
import re
import tracemalloc
import warnings
from contextlib import suppress
from itertools import count

import pytest
from batching import completion
from helpers import says, table

from dsi_core.models.sampling import Sampling
from dsi_core.runtime import disk
from dsi_core.services import batch, batch_requests, client, pending, request
from dsi_core.services.billing import Lost
from dsi_core.services.service import Service
from dsi_core.services.trial import EndpointError
from dsi_core.settings.schema import Endpoint

ASKING = Sampling(0, 1.0, 1, 8, 1)


class Run:
    """Runs of one audit's questions in a folder, as `audit.run` does: what lacks is asked."""

    def __init__(self, server, folder, prompts="abcdef", **changes):
        self.folder, self.prompts, self.kept, self.unanswered = folder, prompts, {}, []
        self.endpoint = Endpoint(**{"base_url": server.url, "model": "m", "batch": True, **changes})

    def once(self):
        left = [p for p in self.prompts if p not in self.kept]
        rows = table("sample_id prompt draw", *[(f"s-{p}", p, 0) for p in left])
        with Service(self.endpoint, self.folder) as service:
            for row, said in batch.batched(service, rows, ASKING, self.folder, self.unanswered):
                assert row.prompt not in self.kept
                self.kept[row.prompt] = said

    def all(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            while len(self.kept) < len(self.prompts):
                self.once()
        return {prompt: said.text for prompt, said in self.kept.items()}


def asked(server):
    """The prompts of all batches and of single requests, in order."""
    lines = [
        json.loads(line)["body"]["messages"][-1]["content"]
        for made in server.batches.values()
        for line in server.files[made["input_file_id"]]["content"].splitlines()
    ]
    return lines + [body["messages"][-1]["content"] for body in server.single]


ALL = {prompt: f"to {prompt}" for prompt in "abcdef"}


def test_one_question_alone_and_the_rest_in_a_batch(batches, tmp_path):
    made = Run(batches, tmp_path)
    assert made.all() == ALL and len(batches.batches) == 1
    assert sorted(asked(batches)) == list("abcdef") and len(batches.single) == 1
    (one,) = batches.batches.values()
    assert (one["endpoint"], one["completion_window"]) == ("/v1/chat/completions", "24h")
    lines = [json.loads(x) for x in batches.files[one["input_file_id"]]["content"].splitlines()]
    names = [line["custom_id"] for line in lines]
    assert names == [request.question_name(ASKING.seed, f"s-{p}", 0) for p in "bcdef"]
    assert len(set(names)) == 5 and all(re.fullmatch("[0-9a-f]{32}", name) for name in names)
    first = lines[0]
    assert (first["method"], first["url"]) == ("POST", "/v1/chat/completions")
    assert first["body"]["max_tokens"] == 8 and "stream" not in first["body"]
    assert made.kept["b"].usage.written == 2 and not (tmp_path / pending.NAME).exists()
    later = Run(batches, tmp_path, "xyz")  # one alone before each batch
    assert later.all() == {p: f"to {p}" for p in "xyz"} and len(batches.single) == 2
    assert len(batches.batches) == 2


TOO_LONG = {"error": {"message": "too long", "code": "context_length_exceeded"}}


def test_how_a_batch_asks_is_tried_though_the_service_answered_when_asked_otherwise(
    batches, tmp_path
):
    wrong = {"error": {"message": "Unsupported value: 'temperature'", "param": "temperature"}}
    batches.alone = lambda asked: (
        (400, wrong) if "temperature" in asked else (200, completion("to a"))
    )
    made = Run(batches, tmp_path)
    with Service(made.endpoint, tmp_path) as service:
        service.learn(service.taken.model_copy(update={"answered": True}))
    assert made.all() == ALL and len(batches.single) == 2
    (one,) = batches.batches.values()
    lines = [json.loads(x) for x in batches.files[one["input_file_id"]]["content"].splitlines()]
    assert len(lines) == 5 and not any("temperature" in line["body"] for line in lines)


@pytest.mark.parametrize(
    "wrong, finish", [(TOO_LONG, "too long"), ({"error": {"message": "no!"}}, "refused")]
)
def test_a_first_prompt_that_is_refused_is_not_the_services_fault(batches, tmp_path, wrong, finish):
    batches.alone = lambda asked: (
        (400, wrong)
        if (prompt := asked["messages"][-1]["content"]) == "a"
        else (200, completion(f"to {prompt}"))
    )
    made = Run(batches, tmp_path)
    assert made.all() == {**ALL, "a": ""} and made.kept["a"].finish == finish
    assert len(batches.single) == 2 and len(batches.batches) == 1


def test_three_prompts_refused_alone_make_no_batch(batches, tmp_path):
    batches.alone = lambda asked: (400, {"error": {"message": "no!"}})
    made = Run(batches, tmp_path)
    with Service(made.endpoint, tmp_path) as service:
        service.learn(service.taken.model_copy(update={"answered": True}))
    with pytest.raises(EndpointError, match=r"status 400.*no!"):
        made.all()
    assert made.kept == {} and len(batches.single) == 3 and batches.files == {}


def test_a_batch_of_nothing_but_prompts_too_long_is_an_answer(batches, tmp_path):
    batches.answers = lambda prompt: (400, TOO_LONG)
    made = Run(batches, tmp_path)
    assert made.all() == {**dict.fromkeys("abcdef", ""), "a": "to a"}
    assert made.kept["f"].finish == "too long" and len(batches.batches) == 1


def test_a_service_without_batches_is_named_as_one(batches, tmp_path):
    batches.troubles = [("POST", "/v1/files", 404)]
    with pytest.raises(EndpointError) as error:
        Run(batches, tmp_path).all()
    says(error, "POST /files: status 404", "does it have batches? without --batch it is asked")


def test_a_service_with_files_but_without_batches_leaves_nothing_in_the_way(batches, tmp_path):
    """Its reply says that no batch was made, so the questions may be asked singly."""
    batches.troubles = [("POST", "/v1/batches", 404)]
    made = Run(batches, tmp_path)
    with pytest.raises(EndpointError) as error:
        made.all()
    says(error, "no batch was made: status 404", "without --batch it is asked singly")
    assert not pending.under_way(tmp_path).asked_for
    assert made.all() == ALL and len(batches.batches) == 1
    assert len(batches.files) == 3  # its questions once more, as the file may have been at fault


def test_a_refusal_says_nothing_of_a_batch_that_was_asked_for_before(batches, tmp_path):
    """Of another project, or a list that lags: the earlier one may be there, and paid."""
    made = Run(batches, tmp_path, patience=0)
    for status in (500, 400):
        batches.troubles = [("POST", "/v1/batches", status)]
        with pytest.raises(EndpointError, match="no batch was made"):
            made.all()
    assert pending.under_way(tmp_path).asked_for


def test_a_batch_begun_by_an_older_version_is_read(batches, tmp_path, monkeypatch):
    """Its questions have their samples' own names."""
    made = Run(batches, tmp_path)
    with monkeypatch.context() as before, suppress(Killed):
        before.setattr(batch, "_named", lambda row, asking: f"{row.sample_id}/{row.draw}")
        before.setattr(batch_requests, "wait", dies)
        made.once()
    assert made.all() == ALL and len(batches.batches) == 1


def dies(*_):
    raise Killed


def test_answers_that_take_too_long_to_come_name_what_helps(batches, tmp_path, monkeypatch):
    late = client.Missed(client.Trouble.LATE, "no complete answer within 1 s")
    send = client.Client.send
    monkeypatch.setattr(
        client.Client,
        "send",
        lambda self, method, path, **what: (
            late if path.endswith("/content") else send(self, method, path, **what)
        ),
    )
    with pytest.raises(EndpointError) as error:
        Run(batches, tmp_path, patience=0).all()
    says(error, "no complete answer within 1 s", "a longer --timeout")


class Killed(BaseException):
    pass


@pytest.mark.parametrize("when", ["before a step", "after a step"])
def test_a_run_that_is_killed_between_any_two_steps_submits_nothing_twice(
    batches, tmp_path, monkeypatch, when
):
    """Steps are what is sent and what is written. Each is the last of a run, one after the other;

    for each the whole is done anew, with a service of its own state.
    """
    send, write, reached = client.Client.send, disk.write_text, 0
    for last in count():
        batches.batches.clear(), batches.files.clear(), batches.single.clear()
        folder = tmp_path / str(last)
        folder.mkdir()
        made, step, done = Run(batches, folder, "abc"), count(), []

        def stops(real, step=step, last=last, done=done):
            def call(*args, **more):
                mine = next(step) == last
                if mine and when == "before a step":
                    done.append(1)
                    raise Killed
                result = real(*args, **more)
                if mine:
                    done.append(1)
                    raise Killed
                return result

            return call

        monkeypatch.setattr(client.Client, "send", stops(send))
        monkeypatch.setattr(disk, "write_text", stops(write))
        with suppress(Killed):
            made.all()
        monkeypatch.setattr(client.Client, "send", send)
        monkeypatch.setattr(disk, "write_text", write)
        assert made.all() == {prompt: ALL[prompt] for prompt in "abc"}
        twice = {p for p in asked(batches) if asked(batches).count(p) > 1}
        assert len(batches.batches) == 1 and twice <= set("a")  # one single question under way
        sent = [
            f for f in batches.files.values() if re.fullmatch(r"[0-9a-f]+\.jsonl", f["filename"])
        ]
        assert len(sent) == 1
        if not done:
            reached = last
            break
    assert reached >= 12


def test_nothing_in_a_batch_names_this_tool(batches, tmp_path):
    assert Run(batches, tmp_path).all() == ALL
    files = [(file["filename"], file["content"].decode()) for file in batches.files.values()]
    sent = json.dumps([files, batches.batches, batches.single]).lower()
    assert not [word for word in ("dsi", "audit", "inference") if word in sent]


@pytest.mark.parametrize("last", ["/files", "/batches"])
def test_a_batch_that_a_version_named_after_itself_is_found(batches, tmp_path, monkeypatch, last):
    """It was killed before it kept what the service had just said."""
    made, tag, send = Run(batches, tmp_path), "dsi-0123456789ab", client.Client.send

    def killed(self, method, path, **what):
        got = send(self, method, path, **what)
        if (method, path) == ("POST", last):
            raise Killed
        return got

    with monkeypatch.context() as patch:
        patch.setattr(batch.store, "key", lambda spec: tag)
        patch.setattr(client.Client, "send", killed)
        with suppress(Killed):
            made.all()
    (file,) = batches.files.values()
    for one in batches.batches.values():
        one["metadata"] = {"dsi": tag}
        one["input_file_id"] = batches.file("as it calls it", file["content"])["id"]
    assert made.all() == ALL and len(batches.batches) == 1
    names = [one["filename"] for one in batches.files.values()]
    assert names.count(f"{tag}.jsonl") == 1 and sorted(asked(batches)) == list("abcdef")


def test_a_batch_that_nobody_can_look_for_is_not_made_again(batches, tmp_path):
    made = Run(batches, tmp_path, patience=0)
    batches.troubles = [("POST", "/v1/batches", 500)]
    with pytest.raises(EndpointError):
        made.all()
    batches.troubles = [("GET", "/v1/batches?limit=100", 404)]
    with pytest.raises(EndpointError) as error:
        made.all()
    says(error, "whether a batch of the file file-0 was made cannot be found out", "batch.json")
    assert batches.batches == {} and made.all() == ALL and len(batches.batches) == 1


def test_a_batch_whose_reply_was_lost_is_found(batches, tmp_path, monkeypatch):
    send = client.Client.send

    def lost(self, method, path, **what):
        got = send(self, method, path, **what)
        if (method, path) == ("POST", "/batches"):
            return client.Missed(client.Trouble.LOST, "connection failed")
        return got

    monkeypatch.setattr(client.Client, "send", lost)
    batches.batches.update({f"batch-{i}": {"id": f"batch-{i}"} for i in range(2)})  # of others
    batches.page = 1
    assert Run(batches, tmp_path).all() == ALL and len(batches.batches) == 3


def test_troubles_on_the_way_are_waited_for(batches, tmp_path, pauses):
    batches.troubles = [
        ("POST", "/v1/files", 503),
        ("GET", "/v1/batches/batch-0", 429),
        ("GET", "/v1/files/file-1/content", 500),
    ]
    assert Run(batches, tmp_path).all() == ALL and len(batches.batches) == 1


@pytest.mark.parametrize("ends", ["completed", "expired"])
def test_what_a_batch_left_is_asked_in_another(batches, tmp_path, ends):
    batches.ends, first = ends, set("cd")

    def answers(prompt):
        if prompt in first:
            first.discard(prompt)
            return None if ends == "expired" else (500, {"error": {"message": "broken"}})
        return 200, completion(f"to {prompt}")

    batches.answers = answers
    assert Run(batches, tmp_path).all() == ALL and len(batches.batches) == 2
    assert sorted(asked(batches)) == sorted("abcdef" + "cd")


# --- What a service may say ---------------------------------------------------------------------

IDS = ["../../../admin/delete?x=", "a\n\0b", "..", "a/../b", "a#b", "a b", "", "a" * 201, 5, ["a"]]


def test_what_is_no_id():
    assert not any(map(batch_requests._is_id, IDS))
    for name in ("batch_68-a.1", "0b1f9c", "batches/abc123", "a" * 200):
        assert batch_requests._is_id(name)


@pytest.mark.parametrize("wrong", [IDS[0], 5])
@pytest.mark.parametrize("place", ["/v1/files", "/v1/batches", "output_file_id", "after"])
def test_an_id_leads_to_no_other_place(batches, tmp_path, place, wrong):
    """Its requests carry the key."""

    def says(method, path, body):
        if method == "POST" and path == place:
            return {"id": wrong}
        if place == "output_file_id" and place in body:
            return {**body, place: wrong}
        if place == "after" and path.startswith("/v1/batches?limit=100"):
            return {"data": [{"id": wrong}], "has_more": True}
        return body

    batches.says = says
    if place == "after":
        batches.troubles = [("POST", "/v1/batches", 500)]
    with pytest.raises(EndpointError, match=f"no {place if '_' in place else 'id'} that can be"):
        Run(batches, tmp_path).all()
    allowed = "/v1/(chat/completions|files|batches|batches/batch-0|batches[?]limit=100)"
    assert [path for path in batches.paths if not re.fullmatch(allowed, path)] == []


def test_what_a_batch_says_is_shown_without_marks(batches, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DSI_PROGRESS", "lines")
    mark = "\x1b[31m\x1b]0;t\x07\u202e"

    def says(method, path, body):
        if not re.fullmatch("/v1/batches/.*", path):
            return body
        said = body["status"] if body["status"] in batch_requests.DONE else mark
        return {**body, "status": said, "request_counts": {"completed": mark}}

    batches.says = says
    assert Run(batches, tmp_path).all() == ALL
    said = capsys.readouterr().err.replace("\n", "")
    assert "batch batch-0: completed, [31m" in said and said.isprintable()


NO_FILES = {"status": "cancelled", "output_file_id": None, "error_file_id": None}
DEEP = [{"id": 5, "a": ["DEEP"]}, {"output_file_id": ["DEEP"]}, {**NO_FILES, "errors": ["DEEP"]}]


@pytest.mark.parametrize(
    "said, deep",
    [
        ({"request_counts": [1]}, 0),
        ({"request_counts": 5}, 0),
        ({"status": ["completed"]}, 0),
        ({"status": {"a": 1}}, 0),
        ({**NO_FILES, "errors": {"data": 5}}, 0),
        ({**NO_FILES, "errors": 5}, 0),
        ({**NO_FILES, "errors": "why"}, 0),
        *[(said, deep) for said in DEEP for deep in (100, 900, 950, 5000)],
    ],
)
def test_whatever_a_batch_says_is_no_fault_of_ours(batches, tmp_path, said, deep):
    looks = count()

    def says(method, path, body):
        if not re.fullmatch("/v1/batches/.*", path) or next(looks) % 2:
            return body
        text = json.dumps({**body, **said}).replace('"DEEP"', "[" * deep + "]" * deep)
        return text.encode()

    batches.says, batches.looks = says, 1
    with suppress(EndpointError):
        Run(batches, tmp_path).all()


@pytest.mark.parametrize("listed", [5, {}, "a", [5], [{"metadata": [1]}, {"metadata": 5}]])
def test_whatever_is_listed_is_no_fault_of_ours(batches, tmp_path, listed):
    batches.troubles = [("POST", "/v1/batches", 500)]
    batches.says = lambda method, path, body: (
        {"data": listed} if method == "GET" and "?" in path else body
    )
    assert Run(batches, tmp_path).all() == ALL and len(batches.batches) == 1


def test_a_list_of_batches_without_end_is_left(batches, tmp_path, monkeypatch):
    monkeypatch.setattr(batch_requests, "PAGES", 3)
    batches.troubles = [("POST", "/v1/batches", 500)]
    batches.says = lambda method, path, body: (
        {"data": [{"id": "a"}], "has_more": True} if "/batches?" in path else body
    )
    with pytest.raises(EndpointError) as error:
        Run(batches, tmp_path).all()
    says(error, "cannot be found out (its list of batches does not end)", "batch.json")
    assert batches.batches == {}


def line(body, status="200", name="c"):
    named = json.dumps(request.question_name(ASKING.seed, f"s-{name}", 0))
    said = f'{{"custom_id": {named}, "response": {{"status_code": {status}, "body": {body}}}}}\n'
    return said.encode()


LINES = [
    b"11\n",
    b"\xff\n",
    b'{"custom_id": ["a"]}\n',
    b'{"custom_id": "a", "response": 5}\n',
    b"[" * 5000 + b"]" * 5000 + b"\n",
    *[line("1", status) for status in ("1e999", "NaN", "[1]", "1" * 5000)],
    *[line("[" * deep + "]" * deep, s) for deep in (900, 5000) for s in ("200", "400")],
    *[line('{"choices": 5}', status) for status in ("200", "400", "500")],
]


@pytest.mark.parametrize("wrong", LINES, ids=range(len(LINES)))
def test_a_line_that_cannot_be_read_is_no_answer(batches, tmp_path, wrong):
    """That of "c" is asked again, of the others their own are read."""
    batches.says = lambda method, path, body: wrong + body if "/content" in path else body
    made = Run(batches, tmp_path)
    assert {**made.all(), "c": "to c"} == ALL and len(batches.batches) == 1


MADE = {"output_file_id": "file-0", "error_file_id": "file-1"}


def test_a_file_of_answers_is_read_in_little_memory(batches, tmp_path):
    """Of no more lines than there may be, and none is longer than a reply."""
    content = gzip.compress(b"11\n" * 2**21 + b"1" * 2**24)
    for _ in range(2):
        batches.file("answers", content)
    with Service(Run(batches, tmp_path).endpoint) as service:
        tracemalloc.start()
        lines = batch_requests.brought(service, MADE, 5)
        assert list(lines) == [b"11\n"] * 20
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert most < 2**23


def test_a_line_is_no_longer_than_a_reply(batches, tmp_path, monkeypatch):
    monkeypatch.setattr(batch_requests, "BODY_BYTES", 4)
    batches.file("answers", b"1234567\n8")
    with Service(Run(batches, tmp_path).endpoint) as service:
        lines = batch_requests.brought(service, {"output_file_id": "file-0"}, 5)
        assert list(lines) == [b"1234", b"567\n", b"8"]


def test_what_is_kept_of_lines_without_an_answer_is_short(batches, tmp_path):
    long = {"error": {"message": "wrong " * 10**4}}
    batches.answers = lambda prompt: (400, long)
    with pytest.raises(EndpointError) as error:
        Run(batches, tmp_path).all()
    assert len(str(error.value)) < 1000
    with Service(Run(batches, tmp_path).endpoint) as service:
        row = table("sample_id prompt draw", ("s-c", "c", 0)).itertuples(index=False)
        rows = {request.question_name(ASKING.seed, "s-c", 0): next(row)}
        for status in ("400", "500", "0"):
            _, said = batch._read(service, line(json.dumps(long), status), rows, ASKING)
            assert len(repr(said)) < 1500


# --- Lines twice, lines that are refused --------------------------------------------------------


def test_a_line_that_comes_twice_is_one_answer(batches, tmp_path):
    file = batches.file
    batches.file = lambda name, content: file(
        name, content + b"\n" + content if name == "output_file_id" else content
    )
    assert Run(batches, tmp_path).all() == ALL and len(batches.batches) == 1


def test_a_filtered_line_is_an_answer(batches, tmp_path):
    said = {"error": {"message": "filtered", "code": "content_filter"}}
    batches.answers = lambda p: (400, said) if p == "c" else (200, completion(f"to {p}"))
    made = Run(batches, tmp_path)
    assert made.all() == {**ALL, "c": ""} and made.kept["c"].finish == "content_filter"
    assert len(batches.batches) == 1


@pytest.mark.parametrize(
    "ends, answers, parts",
    [
        ("failed", None, ["batch batch-0 failed", "the file is wrong"]),
        ("cancelled", "bc", ["batch batch-0 cancelled", "2 answers of it are kept", "other 3"]),
        ("expired", "", ["batch batch-0 expired", "0 answers", "could not be executed"]),
        ("completed", "400", ["batch batch-0 completed", "status 400: what is this?"]),
    ],
)
def test_where_another_batch_would_not_help_it_ends(batches, tmp_path, ends, answers, parts):
    batches.ends = ends
    wrong = (400, {"error": {"message": "what is this?"}})
    batches.answers = lambda p: (
        wrong
        if answers == "400"
        else (200, completion(f"to {p}"))
        if p in (answers or "")
        else None
    )
    made = Run(batches, tmp_path)
    with pytest.raises(EndpointError) as error:
        made.all()
    says(error, *parts)
    batches.ends, batches.answers = "completed", lambda p: (200, completion(f"to {p}"))
    assert made.all() == ALL and len(batches.batches) == 2


def test_what_was_billed_for_a_line_without_an_answer_is_counted(batches, tmp_path):
    broken = {"choices": [{"message": {"content": "h"}, "finish_reason": "error"}]}
    said = [(200, {**broken, "usage": {"prompt_tokens": 3, "completion_tokens": 2}})]
    batches.answers = lambda p: said.pop() if p == "c" and said else (200, completion(f"to {p}"))
    made = Run(batches, tmp_path)
    assert made.all() == ALL and len(batches.batches) == 1  # the rest, which is one, alone
    assert [(row.prompt, lost) for row, lost in made.unanswered] == [("c", Lost(1, 0, 3, 2))]


def test_a_batch_that_was_not_made_is_begun_anew_where_less_is_asked_for(batches, tmp_path):
    """Its file lies there with all questions: it is not taken."""
    made = Run(batches, tmp_path, patience=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_requests, "_make", lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            made.all()
    kept = pending.under_way(tmp_path)
    pending.keep(tmp_path, kept.model_copy(update={"asked_for": False}))
    made.prompts = "abc"
    assert made.all() == {prompt: ALL[prompt] for prompt in "abc"}
    assert sorted(asked(batches)) == list("abc")


@pytest.mark.parametrize(
    "limit, most, made", [("QUESTIONS", 2, 2), ("BYTES", 500, 2), ("BYTES", 1, 3)]
)
def test_a_large_batch_is_split(batches, tmp_path, monkeypatch, limit, most, made):
    monkeypatch.setattr(batch, limit, most)
    assert Run(batches, tmp_path).all() == ALL and len(batches.batches) == made
    assert sorted(asked(batches)) == list("abcdef")


def test_a_file_of_a_batch_that_cannot_be_read_is_not_passed_over(tmp_path):
    (tmp_path / pending.NAME).write_text("{")
    with pytest.raises(ValueError) as error:
        pending.under_way(tmp_path)
    says(error, "batch.json cannot be read", "may be under way")
    assert pending.under_way(tmp_path / "elsewhere") is None
