"""What a user meets is one line with a remedy and an exit code; no console is too poor for it."""

import builtins
import errno
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest
import typer
from helpers import write_jsonl
from pydantic import ValidationError
from safetensors import SafetensorError
from typer.testing import CliRunner

from dsi_core.cli import app, errors
from dsi_core.runtime import disk, environment, jobs
from dsi_core.runtime import errors as met
from dsi_core.runtime.paths import ROOT
from dsi_core.services.trial import EndpointError
from dsi_core.settings.schema import Responses

PLACE = "/mnt/there/my file.csv"


def os_error(number, *places):
    return OSError(number, os.strerror(number), *places)


def refused(**settings):
    """What pydantic says of settings of the way in which models are asked."""
    with pytest.raises(ValidationError) as error:
        Responses(**settings)
    return error.value


def of_sqlite():
    """What SQLite says of a disk that is full."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("PRAGMA max_page_count = 1")
        with pytest.raises(sqlite3.OperationalError) as error:
            database.execute("CREATE TABLE a (b)")
    return error.value


# --- What an error comes to ---------------------------------------------------------------------

MET = {  # (error, exit code, what is in the line)
    "disk full": (os_error(errno.ENOSPC, PLACE), 2, [PLACE, "no space is left", "$DSI_STORE"]),
    "full, by safetensors": (
        SafetensorError("Error while serializing: I/O error: No space left (os error 28)"),
        2,
        ["no space is left", "$DSI_STORE", "goes on from there"],
    ),
    "full, by SQLite": (of_sqlite(), 2, ["no space is left", "$DSI_STORE"]),
    "quota": (os_error(errno.EDQUOT, PLACE), 2, ["quota", "free some"]),
    "read-only disk": (os_error(errno.EROFS, PLACE), 2, [PLACE, "can only be read", "--out"]),
    "no permission": (os_error(errno.EACCES, PLACE), 2, [PLACE, "may not", "--figures-dir"]),
    "hub cache": (os_error(errno.EACCES, "/home/u/.cache/huggingface"), 2, ["$HF_HOME"]),
    "too many files": (os_error(errno.EMFILE), 2, ["ulimit -n", "DSI_WORKERS"]),
    "long path": (os_error(errno.ENAMETOOLONG, "a" * 300), 2, ["too long", "shorter --out"]),
    "file for folder": (os_error(errno.ENOTDIR, PLACE), 2, ["a file lies where a folder"]),
    "folder for file": (os_error(errno.EISDIR, "/tmp"), 2, ["/tmp: this is a folder"]),
    "missing": (os_error(errno.ENOENT, PLACE), 2, [PLACE, "no such file", "working directory"]),
    "no locks": (
        os_error(errno.ENOLCK, "/nfs/store/.lock"),
        2,
        ["/nfs/store/.lock", "no locks", "$DSI_LOCKS=soft"],
    ),
    "no flock": (os_error(errno.ENOSYS, PLACE), 2, [PLACE, "as locks", "$DSI_LOCKS=soft"]),
    "unplugged": (os_error(errno.EIO, PLACE), 2, [PLACE, "cannot be read or written"]),
    "renamed to": (os_error(errno.EXDEV, "/a", None, "/b"), 2, ["/b", "Invalid cross-device"]),
    "bytes": (os_error(errno.ENOENT, b"/a\xff"), 2, ["/a", "no such file"]),
    "socket": (OSError("AF_UNIX path too long"), 2, ["$TMPDIR", "shorter"]),
    "memory": (MemoryError(), 2, ["no memory is left", "DSI_WORKERS=1", "batch_size"]),
    "GPU": (RuntimeError("CUDA out of memory. Tried to allocate"), 2, ["CUDA", "batch_size"]),
    "worker": (jobs.WorkerDied("the worker of job 'tune' died"), 2, ["'tune'"]),
    "service": (EndpointError("m at https://host: status 500"), 3, ["status 500"]),
    "setting": (refused(temperature=-1), 2, ["temperature: Input should be", "(got -1)"]),
    "value": (ValueError("row 7:\n  is empty"), 2, ["row 7: is empty"]),
    "module": (ModuleNotFoundError("no", name="trl"), 2, ["pip install 'dsi_core[tune]'"]),
    "fault": (KeyError("x"), 70, ["unexpected error: KeyError", "again with --debug and report"]),
    "foreign module": (ModuleNotFoundError("no", name="nonsense"), 70, ["unexpected error"]),
}


@pytest.mark.parametrize("name", MET)
def test_an_error_is_one_line_with_a_remedy_and_a_code(name, capsys):
    error, code, parts = MET[name]
    with pytest.raises(typer.Exit) as ended, errors.clear_errors():
        raise error
    said = capsys.readouterr().err
    assert ended.value.exit_code == code and said.startswith("error: ") and said.count("\n") == 1
    assert not [part for part in parts if part not in said], said
    with pytest.raises(typer.Exit), errors.clear_errors(debug=True):
        raise error
    debugged = capsys.readouterr().err
    assert debugged.startswith("Traceback") and debugged.endswith(said)


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.ENOTDIR])
@pytest.mark.parametrize(
    ("place", "named"),
    [
        ("/mnt/there/store/models/a", True),
        ("/mnt/there/store", True),
        (b"/mnt/there", True),  # what it lies in is gone
        ("/", False),
        ("/mnt/there/stores/a", False),
        ("a", False),
        (3, False),
    ],
)
def test_a_path_of_the_store_names_the_variable_that_set_it(monkeypatch, number, place, named):
    monkeypatch.setenv("DSI_STORE", "/mnt/there/store/")
    said = met.said(os_error(number, place))
    assert said.startswith(os.fsdecode(place) if isinstance(place, str | bytes) else "file 3")
    assert ("($DSI_STORE is /mnt/there/store/): " in said) is named
    monkeypatch.delenv("DSI_STORE")
    assert "$DSI_STORE is" not in met.said(os_error(number, place))


def test_interrupted_and_unread_end_with_codes_of_their_own(capsys):
    with pytest.raises(typer.Exit) as ended, errors.clear_errors():
        raise KeyboardInterrupt
    assert ended.value.exit_code == 130 and "goes on from there" in capsys.readouterr().err
    with pytest.raises(typer.Exit), errors.clear_errors():
        raise KeyboardInterrupt("nothing is kept")
    assert capsys.readouterr().err == "interrupted: nothing is kept\n"
    with pytest.raises(typer.Exit) as ended, errors.clear_errors():
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")
    assert ended.value.exit_code == 141 and capsys.readouterr().err == ""


def offline_errors():
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    yield ConnectionError("Couldn't reach 'a/b' on the Hub (OfflineModeIsEnabled)")
    yield LocalEntryNotFoundError("no snapshot, and\n\noutgoing traffic is disabled")
    yield OfflineModeIsEnabled("offline")
    yield OSError("We couldn't connect to 'https://huggingface.co' to load the files")
    wrapped = RuntimeError("Failed to import transformers")  # of a library, and why
    wrapped.__cause__ = LocalEntryNotFoundError("no")
    yield wrapped


def test_a_hub_that_is_not_reached_is_named_with_what_to_do(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://name:secret@proxy:1")
    for error in offline_errors():
        said = met.said(error)
        assert said.startswith("the model hub cannot be reached through the proxy of $HTTPS")
        assert "a file or a folder of this machine" in said and "secret" not in said
        assert met.whose(error) is met.Whose.USER and "\n" not in said


def test_what_the_hub_refuses_is_told_apart():
    from datasets.exceptions import DatasetNotFoundError

    said = met.said(DatasetNotFoundError("Dataset 'a/b' doesn't exist on the Hub"))
    assert "a/b" in said and "owner/name" in said and "$HF_TOKEN" in said
    socks = ImportError("Using SOCKS proxy, but the 'socksio' package is not installed.")
    assert met.whose(socks) is met.Whose.USER and "'socksio'" in met.said(socks)


# --- Commands that meet them --------------------------------------------------------------------

TWINS = [
    {
        "prompt": f"问题 {i}: what stands by the {a}?",
        "output": f"答案 جواب a {b} of {i * 7} stones",
        "output2": f"然后 {i * 7} stones make up its {b}",
    }
    for i, (a, b) in enumerate(
        (a, b)
        for a in ("river", "lantern", "copper gate", "meadow")
        for b in ("wall", "bridge", "saddle")
    )
]


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_jsonl(tmp_path / "my.jsonl", TWINS)


def protect(*more):
    options = ["--data", "my.jsonl", "--wordings", "output,output2", *more]
    return CliRunner().invoke(app, ["protect", *options])


def test_places_that_cannot_be_written_to(data, tmp_path):
    (tmp_path / "file").write_text("")
    for out, why in [("file", "a file lies"), ("file/x", "a file lies"), ("a" * 300, "too long")]:
        done = protect("--out", out)
        assert done.exit_code == 2 and why in done.stderr and done.stderr.count("\n") == 1


def test_a_disk_that_is_full_while_a_kit_is_written(data, monkeypatch):
    def full(path, *_, **__):
        raise os_error(errno.ENOSPC, str(path))

    monkeypatch.setattr(disk, "write_text", full)
    done = protect("--out", "kit")
    assert done.exit_code == 2 and "no space is left on this disk" in done.stderr.splitlines()[-1]


def test_debug_shows_the_traceback_wherever_it_stands(data, monkeypatch):
    plain = protect("--out", "a" * 300)
    assert "OSError" not in plain.output
    behind = protect("--out", "a" * 300, "--debug")
    assert "Traceback" in behind.stderr and behind.exit_code == 2
    monkeypatch.setenv("DSI_DEBUG", "1")
    assert "Traceback" in protect("--out", "a" * 300).stderr


# --- Consoles, pipes, proxies: processes of their own -------------------------------------------

SEVERAL = """
import os, sys
from dsi_core.cli import app

for command in sys.argv[1:]:
    code = 0
    try:
        app(command.split(), prog_name="dsi")
    except SystemExit as end:
        code = end.code
    print("ended with", code, file=sys.stderr)
"""


def several(commands, cwd, **environment):
    """Run commands in one process, with this environment; gives stdout and stderr as bytes."""
    script = [sys.executable, "-c", SEVERAL, *commands]
    surrounding = {**os.environ, "DSI_STORE": str(cwd / "store"), **environment}
    return subprocess.run(script, capture_output=True, cwd=cwd, env=surrounding, timeout=120)


CONSOLES = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "Windows, western": {"PYTHONIOENCODING": "cp1252"},
}
PROXIES = {
    "ALL_PROXY": "socks5://127.0.0.1:9",
    "all_proxy": "socks5h://127.0.0.1:9",
    "HTTPS_PROXY": "http://name:w\u00f6rd@127.0.0.1:9",
    "http_proxy": "no address",
    "NO_PROXY": "*,[::1],::1",
}


@pytest.mark.parametrize("console", CONSOLES)
def test_any_text_is_printed_on_any_console_with_any_proxy(console, data, tmp_path):
    words = "protect --data my.jsonl --wordings output,output2"  # its warnings quote the data
    commands = [f"{words} --out kit", f"{words} --prompt 问题", "protect --help", "status --json"]
    done = several(commands, tmp_path, **CONSOLES[console], **PROXIES)
    said = done.stderr.decode("latin-1")
    assert [line for line in said.splitlines() if line.startswith("ended")] == [
        "ended with 0",
        "ended with 2",
        "ended with 0",
        "ended with 0",
    ], said
    assert "Traceback" not in said
    assert r"\u95ee\u9898" in said or "问题" in done.stderr.decode(errors="replace")
    assert (tmp_path / "kit" / "commitment.json").exists()
    out = done.stdout.decode("latin-1")
    found = json.loads(out[out.rindex("\n{") :])
    assert found["entries"] == [] and Path(found["store"]) == tmp_path / "store"


def test_a_reader_that_has_enough_ends_a_command_without_a_word(tmp_path):
    command = [sys.executable, "-m", "dsi_core", "--quiet", "status"]
    read, write = os.pipe()
    os.close(read)
    environment = {**os.environ, "DSI_STORE": str(tmp_path)}
    with os.fdopen(write, "wb") as nobody:
        done = subprocess.run(
            command, stdout=nobody, stderr=subprocess.PIPE, cwd=ROOT, env=environment
        )
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_console_of_a_notebook_is_left_alone(monkeypatch):
    from dsi_core.runtime.environment import any_text

    monkeypatch.setattr(sys, "stdout", io.StringIO())  # has no encoding to change
    any_text()
    builtins.print("你好")
    assert sys.stdout.getvalue() == "你好\n"


BUSY = """
import signal, subprocess, sys, time
from dsi_core.cli import app
from dsi_core.runtime import entries

signal.signal(signal.SIGINT, signal.default_int_handler)  # else a shell's background ignores it

def busy():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print(child.pid, flush=True)
    time.sleep(600)

entries.status = busy
sys.argv = ["dsi", "status"]
app()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_a_command_and_what_it_began_at_once(number):
    """Also where a thread or a child would have been waited for."""
    with subprocess.Popen(
        [sys.executable, "-c", BUSY],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    ) as process:
        child = int(process.stdout.readline())
        sent = time.monotonic()
        process.send_signal(number)  # not to its child, as by `kill` or JupyterLab
        said = process.stderr.read()
        assert process.wait(20) == 130 and time.monotonic() - sent < 3
    assert said.startswith("interrupted: ") and said.count("\n") == 1
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie"


def test_pictures_need_no_screen_that_is_known(monkeypatch):
    """MPLBACKEND may name what matplotlib does not know, or a notebook's."""
    from dsi_core.audit.report import shown
    from dsi_core.cli import audit
    from dsi_core.plots import audit as plots

    monkeypatch.setenv("MPLBACKEND", "invalid")
    monkeypatch.setattr(shown, "drawn", lambda done: os.environ["MPLBACKEND"])
    monkeypatch.setattr(plots, "pictures", lambda drawn: {drawn: b""})
    assert audit._pictures(None) == {"agg": b""} and os.environ["MPLBACKEND"] == "invalid"


def test_a_console_that_is_closed_is_no_trouble(monkeypatch):
    """As `dsi ... >&-` or a service without a console has it: the streams are None."""
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    environment.any_text()
    print("x")
    print("y", file=sys.stderr)
    assert sys.stdin.read() == ""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        stream.close()


def test_what_a_terminal_obeys_is_spelled_out(tmp_path):
    """A column's name of somebody's file: in an error, a warning and a summary."""
    name = "note\x1b]0;title\x07\u202e"
    rows = [{"prompt": f"q {i}", "output": f"answer {i} and {i * i}", name: "x"} for i in range(20)]
    file = write_jsonl(tmp_path / "d.jsonl", rows)
    out = str(tmp_path / "kit")
    done = CliRunner().invoke(app, ["protect", "--data", str(file), "--out", out])
    assert done.exit_code == 0 and "note\\x1b]0;title\\x07\\u202e" in done.output
    wrong = ["--prompt", "none", "--output", "output"]
    other = CliRunner().invoke(app, ["protect", "--data", str(file), *wrong])
    assert other.exit_code == 2 and "note\\x1b" in other.output
    assert not {"\x1b", "\x07", "\u202e"} & set(done.output + other.output)
    assert environment.printable("a b\n\tc é 漢 \U0001f600") == "a b\n\tc é 漢 \U0001f600"
