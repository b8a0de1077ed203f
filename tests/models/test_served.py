"""Answers through vLLM: what is started, what is asked, and that answers have keys of their own.

A double speaks its protocol; where vLLM is at hand (`make vllm`, $DSI_VLLM) the real one is asked.
"""

import json
import os
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
from base64 import b64encode
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import pandas as pd
import psutil
import pytest
import servers

from dsi_core.method import asking
from dsi_core.method.asking import Query
from dsi_core.models import responses, served
from dsi_core.models.sampling import Answer, Sampling
from dsi_core.models.tuning import training
from dsi_core.runtime import jobs, store
from dsi_core.runtime.precision import Precision
from dsi_core.services import request
from dsi_core.services.trial import EndpointError
from dsi_core.settings.schema import Endpoint, Model, Trained

PAIRS = pd.DataFrame({"sample_id": ["a", "b"], "prompt": ["Who?", "Where is it?"]})
DRAWN = [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
VLLM = served.OWN.exists() or os.path.isfile(os.environ.get(served.WHERE, ""))


@pytest.fixture
def sampling(smoke):
    asked = Sampling.of(smoke.responses, smoke.seed)
    return asked.changed(draws=2, server="vllm", max_new_tokens=5)


def model(smoke, recipe=None, **source):
    data = ["dozen"] if recipe else []
    made = training(smoke, "dozen", Trained(base="llama", data=data, recipe=recipe))
    if not source:
        return made
    return replace(made, base=replace(made.base, source=Model(**source)))


def recipes(smoke):
    """A recipe that leaves an adapter, and one that tunes all weights."""
    by = {r.method: name for name, r in smoke.recipes.items()}
    return by.get("lora") or by["qlora"], by["full"]


def test_answers_of_a_server_have_a_key_of_their_own(smoke, sampling):
    one, own = model(smoke), replace(sampling, server=None)
    assert "server" not in responses.spec("M", one, own)
    assert responses.spec("M", one, sampling) == {**responses.spec("M", one, own), "server": "vllm"}
    behind = model(smoke, endpoint=Endpoint(base_url="https://host/v1", model="m"))
    assert responses.spec("M", behind, sampling) == responses.spec("M", behind, own)
    assert smoke.responses.server is None
    assert Sampling.of(smoke.changed(responses={"server": "vllm"}).responses, 0).server == "vllm"
    with pytest.raises(ValueError, match="vllm"):
        smoke.changed(responses={"server": "other"})


def on_gpu(training):
    """The same model on a GPU, where adapters are served as they are."""
    return replace(training, precision=Precision("cuda", "fp32"))


def test_models_that_load_the_same_share_a_server(smoke):
    models = [model(smoke, recipe) for recipe in (None, *recipes(smoke))]
    base, adapter, full = (served.group_of(on_gpu(one)) for one in models)
    assert base == adapter != full
    assert len({served.group_of(one) for one in models}) == 3  # a CPU: adapters are merged
    endpoint = Endpoint(base_url="https://host/v1", model="m")
    for source in (
        {"endpoint": endpoint},
        {"path": "x", "gguf": "y"},
        {"path": "x", "adapter": "y"},
    ):
        with pytest.raises(ValueError, match=r"'llama': responses\.server is vllm"):
            served.group_of(model(smoke, **source))


def test_what_is_started(smoke, one_thread, tmp_path, monkeypatch):
    adapter, full = recipes(smoke)
    monkeypatch.setattr(served, "_gpus", lambda device: 2)
    monkeypatch.setenv(served.OPTIONS, "--gpu-memory-utilization 0.5")
    untuned, tuned, whole = (on_gpu(model(smoke, recipe)) for recipe in (None, adapter, full))
    told = served.command("python", [untuned, tuned], 300, tmp_path, 8000)
    options = dict(pairwise(told[1:]))
    assert options["--served-model-name"] == "llama" and options["--port"] == "8000"
    assert options["--max-model-len"] == "300" and "--max-num-batched-tokens" not in told
    assert options["--dtype"] == "float32" and options["--generation-config"] == "vllm"
    assert options["--tensor-parallel-size"] == "2" and "--no-enable-chunked-prefill" not in told
    assert options["--max-lora-rank"] == str(smoke.recipes[adapter].rank) == "32"
    assert options["--lora-modules"].startswith(f"{tuned.name}-")
    assert options["--model"] == options["--tokenizer"]
    assert told[-2:] == ["--gpu-memory-utilization", "0.5"]
    assert "message" in (tmp_path / "template.jinja").read_text()
    told = served.command("python", [whole], 3000, tmp_path, 8000)
    options = dict(pairwise(told[1:]))
    assert options["--served-model-name"] == served.name_of(whole) != "llama"
    assert options["--model"].endswith(served.name_of(whole)) and "--enable-lora" not in told
    assert served._room_for(9) == 16
    with pytest.raises(ValueError, match="rank 1024: vLLM serves adapters of rank 512 at most"):
        served._room_for(1024)


def test_of_several_chat_templates_the_default_is_served(smoke, one_thread, tmp_path, monkeypatch):
    several = SimpleNamespace(chat_template={"default": "D"}, get_chat_template=lambda: "D")
    monkeypatch.setattr(served.load, "tokenizer_of", lambda base: several)
    served.command("python", [model(smoke)], 300, tmp_path, 8000)
    assert (tmp_path / "template.jinja").read_text() == "D"


def test_on_a_cpu_an_adapter_is_merged(smoke, one_thread, tmp_path, monkeypatch):
    def load_tuned(training):
        saved = lambda folder: (tmp_path / "saved").write_text(folder)  # noqa: E731
        return SimpleNamespace(save_pretrained=saved), None

    monkeypatch.setattr(served.tuning, "load_tuned", load_tuned)
    adapter, _ = recipes(smoke)
    one = model(smoke, adapter)
    told = served.command("python", [one], 300, tmp_path, 8000)
    options = dict(pairwise(told[1:]))
    assert options["--served-model-name"] == served.name_of(one)
    assert options["--model"] == (tmp_path / "saved").read_text() == str(tmp_path / "merged")
    assert "--enable-lora" not in told and options["--tokenizer"] != options["--model"]
    assert options["--max-num-batched-tokens"] == "2048" and "--no-enable-chunked-prefill" in told
    (tmp_path / "saved").unlink()
    told = served.command("python", [one], 3000, tmp_path, 8000, merge=False)
    assert dict(pairwise(told))["--max-num-batched-tokens"] == "3000"
    assert "--enable-lora" in told and not (tmp_path / "saved").exists()


def test_the_longest_question_and_its_answer_have_room(smoke, one_thread, sampling):
    one = model(smoke)
    whole = served.longest(one, PAIRS, sampling)
    assert whole > served.longest(one, PAIRS.head(1), sampling) > 5
    assert served.longest(one, PAIRS, replace(sampling, max_prompt_tokens=3)) == 8


def test_a_running_server_is_asked_once_with_a_seed_for_each_draw(
    smoke, one_thread, sampling, empty_store, vllm
):
    one = model(smoke)
    folder = responses.ask("M", one, PAIRS, replace(sampling, max_prompt_tokens=3))
    kept = responses.read(folder)
    assert sorted(zip(kept["sample_id"], kept["draw"], strict=True)) == DRAWN
    assert sorted(kept["response"]) == ["Where is it? 0", "Where is it? 1", "Who? 0", "Who? 1"]
    seeds = {body["seed"] for body in vllm.asked}
    assert seeds == {request.draw_seed(sampling.seed, s, d) for s, d in DRAWN}
    first = vllm.asked[0]
    assert (first["model"], first["max_tokens"]) == ("llama", 5)
    assert (first["truncate_prompt_tokens"], first["truncation_side"]) == (3, "right")
    assert store.manifest(folder)["server"] == "vllm 0.0.9"
    responses.ask("M", one, PAIRS, replace(sampling, max_prompt_tokens=3))
    assert len(vllm.asked) == 4


def test_a_server_that_dies_of_a_seed_is_asked_without(
    smoke, one_thread, sampling, empty_store, vllm, pauses
):
    def script(prompt, n):
        dies = "seed" in vllm.asked[-1]
        return servers.error(500, "EngineCore died") if dies else servers.reply("fine")

    vllm.script = script
    with pytest.warns(UserWarning, match="no seed is sent"):
        folder = responses.ask("M", model(smoke), PAIRS, sampling)
    assert set(responses.read(folder)["response"]) == {"fine"}
    assert json.loads((folder / "service.json").read_text())["seed"] is False


def test_a_model_that_a_server_lacks_is_named(smoke, one_thread, sampling, empty_store, vllm):
    vllm.models = ["gemma"]
    with pytest.raises(ValueError, match=r"lacks llama \(--lora-modules .* models are gemma"):
        responses.ask("M", model(smoke), PAIRS, sampling)
    assert not vllm.asked


def test_a_server_behind_a_login_is_asked_with_it(
    smoke, one_thread, sampling, empty_store, vllm, monkeypatch
):
    url, one = os.environ[served.WHERE], model(smoke)
    monkeypatch.setenv(served.WHERE, url.replace("//", "//me:word-0123@") + "?key=word-4567")
    vllm.login = f"Basic {b64encode(b'me:word-0123').decode()}"
    folder = responses.ask("M", one, PAIRS, sampling)
    assert len(responses.read(folder)) == 4
    assert {headers["authorization"] for headers in vllm.headers} == {vllm.login}
    assert all(path.endswith("?key=word-4567") for path in vllm.paths)
    assert not [p for p in folder.iterdir() if b"word-" in p.read_bytes()]
    with served.serving([one], 100) as server:
        assert "word-" not in repr(server)
    vllm.login = "another"
    with pytest.raises(ValueError, match="status 401") as error, served.serving([one], 100):
        pass
    assert "lacks" not in str(error.value) and "word-" not in str(error.value)


def test_a_study_starts_one_server_for_all_that_share_it(
    smoke, one_thread, sampling, empty_store, monkeypatch
):
    adapter, full = recipes(smoke)
    seen = []
    monkeypatch.setattr(jobs, "run", seen.append)

    def asked(where=lambda training: training) -> list[list[str]]:
        seen.clear()
        queries = [
            Query(str(r), str(r), where(model(smoke, r)), PAIRS, sampling)
            for r in (None, adapter, full)
        ]
        own = Query("own", "own", model(smoke), PAIRS, replace(sampling, server=None))
        asking.query([*queries, own])
        _, first, *groups = ([job.name for job in work] for work in seen)
        assert sorted(first) == sorted([adapter, full, "own"])
        return groups

    assert asked() == [["None"], [adapter], [full]]  # one after another, adapters merged
    assert sorted(*asked(on_gpu)) == sorted(["2 models through one server", full])


FAKE = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
if "--lora-modules" in sys.argv:
    sys.exit("ValueError: no such adapter")
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.endswith("die"):
            print("RuntimeError: no memory", flush=True); os._exit(1)
        said = {"data": [{"id": "llama"}], "version": "0.0.9"}
        known = self.headers["authorization"] == "Bearer " + os.environ["VLLM_API_KEY"]
        allowed = known or not self.path.startswith("/v1/models")
        self.send_response(200 if allowed else 401); self.end_headers()
        self.wfile.write(json.dumps(said).encode())
    def log_message(self, *_): pass
port = int(sys.argv[sys.argv.index("--port") + 1])
ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    python = tmp_path / "python"
    (tmp_path / "fake.py").write_text(FAKE)
    python.write_text(
        textwrap.dedent(f"""\
        #!/bin/sh
        exec {sys.executable} {tmp_path}/fake.py "$@"
        """)
    )
    python.chmod(0o700)
    monkeypatch.setenv(served.WHERE, str(python))
    return python


def test_a_server_lives_as_long_as_it_is_asked(smoke, one_thread, fake):
    before = set(psutil.Process().children(recursive=True))
    with served.serving([model(smoke)], 100) as server:
        assert server.version == "vllm 0.0.9" and server.url.startswith("http://127.0.0.1:")
        assert len(set(psutil.Process().children(recursive=True)) - before) == 1
    assert set(psutil.Process().children(recursive=True)) <= before


def test_nobody_else_on_the_machine_may_ask_a_server(smoke, one_thread, fake):
    """It may hold a model tuned on what is private; its key is in no command line."""
    with served.serving([model(smoke)], 100) as server:
        key = os.environ[served.KEY]
        assert server.key_env == served.KEY and key not in repr(server)
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{server.url}/models", timeout=10)
        processes = psutil.Process().children(recursive=True)
        assert not [p for p in processes if key in " ".join(p.cmdline())]
    assert served.KEY not in os.environ


def test_a_server_that_dies_says_why(smoke, one_thread, fake):
    ours = psutil.Process()
    before = set(ours.children(recursive=True))
    with (
        pytest.raises(served.Died, match="vLLM ended while it was asked: RuntimeError: no memory"),
        served.serving([model(smoke)], 100) as server,
    ):
        with pytest.raises(OSError, match="without response"):
            urllib.request.urlopen(f"{server.url}/die", timeout=10)
        psutil.wait_procs(set(ours.children(recursive=True)) - before, timeout=10)
        raise EndpointError("connection refused")


def test_a_server_that_does_not_start_says_why(smoke, one_thread, fake, monkeypatch):
    monkeypatch.setattr(served.tuning, "tune", lambda training: None)
    adapter, _ = recipes(smoke)
    said = "vLLM did not start: ValueError: no such adapter"
    one = model(smoke, adapter)
    with pytest.raises(served.Died, match=said), served.serving([one], 100, merge=False):
        pass


def test_the_last_words_are_those_of_the_error_itself(tmp_path):
    log = tmp_path / "log"
    log.write_text(
        "WARNING errors like `OSError: [Errno 24] Too many open files`\n"
        "ERROR core.py TimeoutError: RPC call to execute_model timed out.\n"
        "ERROR vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue.\n"
        '"POST /v1/chat/completions HTTP/1.1" 500 Internal Server Error\n'
    )
    assert served._last_words(log).endswith("TimeoutError: RPC call to execute_model timed out.")
    log.write_text("Killed\n\n")
    assert served._last_words(log) == "Killed"
    wrong = [
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for VllmConfig",
        "  Value error, 9 heads are not divisible by tensor parallel size (2)",
        "    For further information visit",
    ]
    log.write_text("\n".join(wrong))
    assert served._last_words(log) == f"{wrong[0]} {wrong[1].strip()}"
    by = "(Worker pid=17068) ERROR 11-28 19:34:07 [executor.py:953] "
    bare = [
        f'{by}  File "parameter.py", line 92, in load',
        f"{by}    assert self.data.shape == loaded.shape",
        f"{by}           ^^^^^^^^^^^^^^^",
        f"{by}AssertionError",
        "RuntimeError: Engine core initialization failed. See root cause above.",
    ]
    log.write_text("\n".join(bare))
    place = 'File "parameter.py", line 92, in load assert self.data.shape == loaded.shape'
    assert served._last_words(log) == f"{place} AssertionError"


def test_nf4_wants_a_plugin_of_a_newer_vllm(tmp_path):
    log = tmp_path / "log"
    log.write_text(
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig\n"
        "  Value error, Unknown quantization method: bitsandbytes. Must be one of ['awq', 'fp8']\n"
    )
    ended = subprocess.Popen(["true"])
    ended.wait()
    said = "vLLM did not start: Unknown quantization method: bitsandbytes. From 0.28 on that is a "
    with pytest.raises(served.Died, match=f"{said}plugin: `pip install vllm-bnb-plugin` beside it"):
        served._wait(ended, "http://127.0.0.1:9/v1", log, ["python"])


def test_no_server_is_started_for_what_another_process_answered(
    smoke, one_thread, sampling, empty_store, monkeypatch
):
    """Of two models one is answered: a server is started for the other alone; then for none."""
    started = []

    @contextmanager
    def serving(trainings, longest):
        started.append([served.name_of(training) for training in trainings])
        yield SimpleNamespace(version="vllm 1")

    def says(server, training, questions, *_):
        return ([Answer(row, "Me.", 2)] for row in questions.itertuples())

    monkeypatch.setattr(served, "serving", serving)
    monkeypatch.setattr(responses, "_served", says)
    base, tuned = model(smoke), model(smoke, recipes(smoke)[1])
    one, other = ("base", base, PAIRS, sampling), ("tuned", tuned, PAIRS, sampling)
    [first] = responses.ask_through_a_server([one])
    both = responses.ask_through_a_server([one, other])
    assert responses.ask_through_a_server([one, other]) == both
    assert both[0] == first and len(responses.read(both[1])) == len(PAIRS) * sampling.draws
    assert started == [[served.name_of(base)], [served.name_of(tuned)]]
    assert {store.manifest(folder)["server"] for folder in both} == {"vllm 1"}


def test_where_vllm_is(tmp_path, monkeypatch):
    monkeypatch.setattr(served, "OWN", tmp_path / "none")
    with pytest.raises(ValueError, match="`make vllm` installs it"):
        served._python("")
    with pytest.raises(ValueError, match=r"\$DSI_VLLM is '/nowhere'"):
        served._python("/nowhere")
    assert served._python(sys.executable) == sys.executable


@pytest.mark.skipif(not VLLM, reason="vLLM is not here: `make vllm`")
def test_vllm_itself(smoke, one_thread, sampling, empty_store, monkeypatch):
    """A toy with heads as wide as its kernels want; at temperature 0 it says what our loop says."""
    from dsi_core.models import toy

    monkeypatch.setitem(toy.SIZES, "head_dim", 32)
    monkeypatch.setenv(served.OPTIONS, "--enforce-eager")
    adapter, _ = recipes(smoke)
    greedy = sampling.changed(temperature=0.0)
    asked = ("tuned", model(smoke, adapter), PAIRS, greedy)
    [folder] = responses.ask_through_a_server([asked])
    own = responses.read(responses.ask(*asked[:3], replace(greedy, server=None)))
    both = own.merge(responses.read(folder), on=["sample_id", "draw"])
    assert (both["response_x"] == both["response_y"]).all() and len(both) == len(PAIRS)
    assert store.manifest(folder)["server"].startswith("vllm ")
