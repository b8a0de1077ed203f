"""Whether models may be fetched: asked of a hub on this machine."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import constants

from dsi_core.models import load
from dsi_core.planning import course
from dsi_core.runtime import hub
from dsi_core.runtime.hub import Access, Way
from dsi_core.settings.schema import Model

GATED = {"o/open": False, "o/mine": "auto", "o/other": "manual"}


class Handler(BaseHTTPRequestHandler):
    """A hub where the token "good" may read o/mine, and o/broken answers nothing of use."""

    def do_HEAD(self):
        self.say(200, {})

    def do_GET(self):
        name = "/".join(self.path.partition("?")[0].split("/")[3:5])
        if name == "o/broken":
            return self.say(500, {})
        if name not in GATED:
            return self.say(404, {}, "RepoNotFound")
        if not self.path.endswith("/auth-check"):
            return self.say(200, {"id": name, "gated": GATED[name]})
        if name == "o/mine" and self.headers.get("Authorization") == "Bearer good":
            return self.say(200, {})
        return self.say(403, {}, "GatedRepo")

    def say(self, status, body, code=None):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@contextmanager
def running():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def there(monkeypatch, tmp_path):
    """The hub that is asked, an empty cache and no token."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with running() as url:
        monkeypatch.setattr(constants, "ENDPOINT", url)
        yield url


MODELS = dict.fromkeys([*GATED, "o/gone", "o/broken"])


def test_what_the_hub_says_of_each(there, monkeypatch):
    open_to_all = {"o/open": Access.OPEN, "o/gone": Access.MISSING, "o/broken": Access.UNKNOWN}
    closed = {"o/mine": Access.NO_TOKEN, "o/other": Access.NO_TOKEN}
    assert hub.way() is Way.REACHED
    assert hub.access(MODELS) == open_to_all | closed
    monkeypatch.setenv("HF_TOKEN", "good")
    mine = {"o/mine": Access.ACCEPTED, "o/other": Access.NOT_ACCEPTED}
    assert hub.access(MODELS) == open_to_all | mine
    monkeypatch.setenv("HF_TOKEN", "another")
    assert hub.access({"o/mine": None}) == {"o/mine": Access.NOT_ACCEPTED}


def test_what_is_here_needs_no_asking(there, monkeypatch, tmp_path):
    snapshot = tmp_path / "cache" / "models--o--other" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    refs = tmp_path / "cache" / "models--o--other" / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc")
    assert hub.access({"o/other": None}) == {"o/other": Access.CACHED}
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert hub.way() is Way.OFFLINE
    both = {"o/other": None, "o/mine": None}
    assert hub.access(both) == {"o/other": Access.CACHED, "o/mine": Access.UNKNOWN}


def test_a_tokenizer_is_here_where_the_cache_or_a_folder_has_it(there, tmp_path, empty_store):
    snapshot = tmp_path / "cache" / "models--o--other" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "tokenizer.json").write_text("{}")
    assert hub.is_cached("o/other", "a" * 40, "tokenizer.json")
    assert not hub.is_cached("o/other", "a" * 40) and not hub.is_cached("no id/at/all", None)
    here = [Model(hub="o/other", revision="a" * 40), Model(path="models/x")]
    elsewhere = [Model(hub="o/other"), here[0].changed(trust_remote_code=True), Model(toy="llama")]
    found = [load.tokenizer_is_here(load.Base("m", each, "")) for each in [*here, *elsewhere]]
    assert found == [True] * 2 + [False] * 3


def test_of_a_pinned_model_its_own_revision_must_be_here(there, monkeypatch, tmp_path):
    """A download of a commit writes no ref of main."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    snapshot = tmp_path / "cache" / "models--o--other" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    for revision, said in (
        ("a" * 40, Access.CACHED),
        ("b" * 40, Access.UNKNOWN),
        (None, Access.UNKNOWN),
    ):
        assert hub.access({"o/other": revision}) == {"o/other": said}


def test_what_a_run_says_before_it_starts(there, monkeypatch):
    monkeypatch.setitem(GATED, "google/gemma-7b", "manual")
    monkeypatch.setattr(course, "_named", lambda name: {**MODELS, "google/gemma-7b": None})
    monkeypatch.setenv("HF_TOKEN", "good")
    told = course.obstacles("any").set_index("model")["obstacle"].to_dict()
    assert told == {
        "o/mine": "gated, accepted",
        "o/other": "gated, not accepted",
        "o/gone": "not on the hub",
        "google/gemma-7b": "gated, not accepted",
    }
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    table = course.obstacles("any")
    assert table["model"].tolist() == ["google/gemma-7b"]
    assert table["obstacle"].tolist() == ["gated, as remembered"]
    assert "hf auth login" in table["what"].item()
