"""Answers through vLLM: one server holds a base and the adapters of all models tuned from it.

On a CPU, where vLLM copies an adapter's weights for every token, an adapter is merged into weights
that have a server of their own. A server is started here, in an environment of its own (`make
vllm`), for as long as its models are asked; or `$DSI_VLLM` is the URL of one that runs. It is asked
as any service is (`services`), each question with a random seed of its own. vLLM draws by its own
kernels, so its answers are not those of our own loop: they have keys of their own.
"""

import ctypes
import json
import os
import re
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from dsi_core.models import load, tuning
from dsi_core.models.sampling import Sampling
from dsi_core.models.tuning import Training
from dsi_core.runtime import disk, store
from dsi_core.runtime.environment import variables
from dsi_core.runtime.paths import ROOT
from dsi_core.services import reply
from dsi_core.services.client import Client, Received
from dsi_core.settings.schema import Endpoint

WHERE = "DSI_VLLM"  # the Python that has vLLM, or the URL of a server
KEY = "DSI_VLLM_KEY"  # that of a server of ours: others on this machine may not ask it
OPTIONS = "DSI_VLLM_OPTIONS"  # more of the server's own, as --gpu-memory-utilization 0.8
OWN = ROOT / ".venv-vllm" / "bin" / "python"  # `make vllm`
START_SECONDS = 1800  # large weights are read, kernels compiled
STOP_SECONDS = 20
TIMEOUT_SECONDS = 600.0  # of one answer: all are sent at once, and the last ones wait
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # of adapters, that vLLM makes room for
ROOM = 2048  # tokens that are read at once, at least
OF_A_CPU = {
    "VLLM_TARGET_DEVICE": "cpu",
    "VLLM_CPU_KVCACHE_SPACE": "2",  # GB
    "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",  # else one core does nothing but schedule
}
QUIET = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
LOGGED = r"^\(\w+ pid=\d+\) ERROR \S+ \S+ \[\S+\] "  # what vLLM puts before an error's lines
POINTERS = ("EngineDeadError", "See root cause above")  # to another error
NO_NF4 = "Unknown quantization method: bitsandbytes"


class Died(ValueError):
    """A server that did not start, or ended while it was asked; quotes its last error."""


@dataclass(frozen=True)
class Server:
    """A vLLM server that runs.

    Attributes
    ----------
    url
        Up to /v1, for display.
    version
        "vllm 0.32.0".
    asked
        The URL with a login or query that it wants, which may be secret.
    key_env
        The variable that holds its key; None = it wants none.
    """

    url: str
    version: str
    asked: str = field(repr=False)
    key_env: str | None = None

    def endpoint(self, training: Training, sampling: Sampling) -> Endpoint:
        """Give what asks it for a model's answers."""
        cut = sampling.max_prompt_tokens
        kept = {} if cut is None else {"truncate_prompt_tokens": cut, "truncation_side": "right"}
        return Endpoint(
            base_url=self.asked,
            model=name_of(training),
            key_env=self.key_env,
            concurrency=sampling.batch_size,
            timeout=TIMEOUT_SECONDS,
            extra=kept,
        )


def name_of(training: Training) -> str:
    """Name a model as its server does: a base as the profile, a tuned one as the store."""
    if training.recipe is None:
        return training.base.name
    return tuning.entry(training, make=False).name


def group_of(training: Training) -> str:
    """Name what has to be loaded for a model: models that share it share a server.

    Adapters of a base share it with the base on a GPU; on a CPU each is merged into weights of its
    own.

    Raises
    ------
    ValueError
        For a model that vLLM does not take as it is.
    """
    source = training.base.source
    if source.endpoint or source.gguf or source.adapter or source.load_in_8bit:
        raise ValueError(
            f"model {training.base.name!r}: responses.server is vllm, which serves a folder, a hub "
            "id or a package, as it is or tuned here; leave `server` out for this one"
        )
    apart = _is_full(training) or _is_merged(training)
    weights = training.spec if apart else training.base.spec
    return store.key([weights, training.precision.label(quantized=training.quantized)])


def _is_full(training: Training) -> bool:
    return training.recipe is not None and training.recipe_here.method == "full"


def _is_adapter(training: Training) -> bool:
    return training.recipe is not None and not _is_full(training)


def _is_merged(training: Training) -> bool:
    on_cpu = training.precision.device == "cpu"
    return _is_adapter(training) and on_cpu and not training.quantized


@contextmanager
def serving(trainings: Sequence[Training], longest: int, *, merge: bool = True) -> Iterator[Server]:
    """Give a server of models that share one (`group_of`); they are tuned if need be.

    Parameters
    ----------
    longest
        Tokens of the longest question and its answer (`longest`), for which there must be room.
    merge
        On a CPU: into the weights, if the model is an adapter. False = serve it as an adapter.

    Raises
    ------
    Died
        Where a server does not start, or ends.
    ValueError
        Where there is no vLLM, or a server that runs lacks a model.
    """
    for training in trainings:
        tuning.tune(training)
    where = os.environ.get(WHERE, "").strip()
    if where.startswith(("http://", "https://")):
        yield _running(where, trainings)
        return
    with TemporaryDirectory(prefix="dsi-vllm-") as folder:
        port = _free_port()
        told = command(_python(where), trainings, longest, Path(folder), port, merge=merge)
        with _started(told, trainings[0].precision.device, Path(folder) / "log", port) as url:
            yield _running(url, trainings, KEY)


def command(
    python: str,
    trainings: Sequence[Training],
    longest: int,
    folder: Path,
    port: int,
    *,
    merge: bool = True,
) -> list[str]:
    """Give the command that serves models which share a server.

    Parameters
    ----------
    longest
        Tokens of the longest prompt and its answer.
    folder
        Takes the chat template, and weights that an adapter is merged into.
    merge
        As `serving` has it.
    """
    first = trainings[0]
    base, precision = first.base, first.precision
    template = folder / "template.jinja"
    disk.write_text(template, load.tokenizer_of(base).get_chat_template())
    place = load.prepare(base)
    merged = merge and _is_merged(first)
    apart = merged or _is_full(first)
    weights = str(tuning.entry(first, make=False)) if apart else place
    if merged:
        weights = str(folder / "merged")
        tuning.load_tuned(first)[0].save_pretrained(weights)
    names = {name_of(t) for t in trainings if apart or not _is_adapter(t)}
    # vllm-cpu lacks the metadata that `vllm serve` looks for; this is the same server
    told = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", weights]
    told += ["--served-model-name", *sorted(names or {base.name}), "--tokenizer", place]
    told += ["--host", "127.0.0.1", "--port", str(port), "--chat-template", str(template)]
    # of the checkpoint's own settings its end tokens alone count, as in our own loop
    told += ["--dtype", load.dtype_of(base, precision), "--generation-config", "vllm"]
    told += ["--max-model-len", str(longest), "--seed", "0"]
    if precision.device == "cpu":
        # vLLM takes back the draw of a prompt that is half read, which a CPU's generator cannot
        room = str(max(ROOM, longest))
        told += ["--no-enable-chunked-prefill", "--max-num-batched-tokens", room]
    if base.source.revision and not apart:
        told += ["--revision", base.source.revision, "--tokenizer-revision", base.source.revision]
    if base.source.trust_remote_code:
        told += ["--trust-remote-code"]
    if first.quantized or base.source.load_in_4bit:
        told += ["--quantization", "bitsandbytes"]
    if (together := _gpus(precision.device)) > 1:
        told += ["--tensor-parallel-size", str(together)]
    adapters = {name_of(t): t for t in trainings if _is_adapter(t)}
    if adapters and not merged:
        highest = max(t.recipe.rank or 0 for t in adapters.values() if t.recipe)
        told += ["--enable-lora", "--max-lora-rank", str(_room_for(highest)), "--lora-modules"]
        told += [f"{name}={tuning.entry(t, make=False)}" for name, t in sorted(adapters.items())]
    return [*told, *shlex.split(os.environ.get(OPTIONS, ""))]


def _room_for(rank: int) -> int:
    if rank > RANKS[-1]:
        raise ValueError(f"rank {rank}: vLLM serves adapters of rank {RANKS[-1]} at most")
    return next(room for room in RANKS if room >= rank)


def _gpus(device: str) -> int:
    """How many GPUs this process was given; 0 on a CPU."""
    import torch

    return torch.cuda.device_count() if device == "cuda" else 0


def longest(training: Training, questions: pd.DataFrame, sampling: Sampling) -> int:
    """Count the tokens of the longest question (column prompt) and its answer."""
    tokenizer = load.tokenizer_of(training.base)
    prompts = questions["prompt"].unique()
    read = max(len(load.encode_prompt(tokenizer, p, sampling.system)) for p in prompts)
    return min(read, sampling.max_prompt_tokens or read) + sampling.max_new_tokens


def _python(where: str) -> str:
    """The Python that has vLLM."""
    if where or OWN.exists():
        python = Path(where or OWN).expanduser()
        if not os.access(python, os.X_OK) or python.is_dir():
            raise ValueError(
                f"${WHERE} is {where!r}; it is a Python that has vLLM, "
                "or a server's URL (https://…/v1)"
            )
        return str(python)
    from importlib.util import find_spec

    if find_spec("vllm") is None:
        raise ValueError(
            "responses.server is vllm, which is not here: `make vllm` installs it, or "
            f"${WHERE} names a Python that has it or a server's URL"
        )
    return sys.executable


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def _started(told: list[str], device: str, log: Path, port: int) -> Iterator[str]:
    """Run a server while this lasts; give its URL once it answers. `KEY` holds its key."""
    usual = QUIET | (OF_A_CPU if device == "cpu" else {})
    key = secrets.token_hex(16)
    with open(log, "wb") as file:
        process = subprocess.Popen(
            told,
            env=usual | os.environ | {"VLLM_API_KEY": key},
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_ends_with_us if sys.platform == "linux" else None,
        )
    try:
        url = f"http://127.0.0.1:{port}/v1"
        _wait(process, url, log, told)
        try:
            with variables({KEY: key}):
                yield url
        except Exception as error:
            if process.poll() is None:
                raise
            raise Died(f"vLLM ended while it was asked: {_last_words(log)}") from error
    finally:
        _stop(process)


def _ends_with_us() -> None:
    """Let Linux end this process when its parent dies, however that comes."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _wait(process: subprocess.Popen, url: str, log: Path, told: list[str]) -> None:
    begun = time.monotonic()
    while process.poll() is None and time.monotonic() - begun < START_SECONDS:
        with suppress(OSError):
            _version(url)
            return
        time.sleep(0.5)
    why = "did not start" if process.poll() is not None else f"not ready in {START_SECONDS} s"
    words = _last_words(log)
    if NO_NF4 in words:
        words = f"{NO_NF4}. From 0.28 on that is a plugin: `pip install vllm-bnb-plugin` beside it"
    raise Died(f"vLLM {why}: {words} (its command: {shlex.join(told)})")


def _last_words(log: Path) -> str:
    """The last error in a log that is no pointer to another, or else the last line.

    What pydantic finds wrong stands below its error; one without a text has its place above.
    """
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [
        i
        for i, line in enumerate(lines)
        if re.search(r"\wError(: |$)", line) and not any(p in line for p in POINTERS)
    ]
    if not errors:
        return (lines or ["nothing"])[-1][:500]
    begin = end = errors[-1]
    if "validation error" in lines[end]:
        end += 1
    elif lines[end].endswith("Error"):
        begin = next((i for i in range(end, -1, -1) if 'File "' in lines[i]), end)
    told = [line for line in lines[begin : end + 1] if "^^" not in line]
    return " ".join(re.sub(LOGGED, "", line).strip() for line in told)[:500]


def _stop(process: subprocess.Popen) -> None:
    """End a server and the processes that it started."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _version(url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url.removesuffix('/v1')}/version", timeout=10) as said:
        return f"vllm {json.load(said)['version']}"


def _running(where: str, trainings: Sequence[Training], key_env: str | None = None) -> Server:
    """A server that runs and has these models."""
    client = Client(Endpoint(base_url=where, model="any", key_env=key_env))
    try:
        url = client.address.base
        got = client.send("GET", "/models")
    finally:
        client.close()
    if not isinstance(got, Received) or got.status != 200:
        why = f"status {got.status}" if isinstance(got, Received) else got.message
        raise ValueError(f"${WHERE}, {url}: does not name its models: {why}")
    there = reply.models(got.raw)
    if lacking := [t for t in trainings if name_of(t) not in there]:
        named = " ".join(
            name_of(t) if t.recipe is None else f"{name_of(t)}={tuning.entry(t, make=False)}"
            for t in lacking
        )
        why = f"its models are {', '.join(there)}" if there else "it names no model"
        raise ValueError(f"${WHERE}, {url}: lacks {named} (--lora-modules name=path); {why}")
    try:
        version = _version(url)
    except (OSError, ValueError, KeyError):
        version = "vllm"  # behind something that does not pass the question on
    return Server(url, version, where, key_env)
