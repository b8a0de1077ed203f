"""A test double of a chat API: a real HTTP server on loopback.

A test scripts its replies per prompt and request.
"""

import json
import socket
import ssl
import threading
import time
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dsi_core.services import pace

KEY = "sk-test/0123456789abcdef"
TLS = cache(
    ssl.create_default_context
)  # every client reads the system's certificates anew: a third of test_endpoint's time


def reply(text, finish="stop", tokens=3, **more) -> tuple[int, dict, bytes]:
    body = {
        "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": finish}],
        "model": "served-1",
        "usage": {"completion_tokens": tokens},
        **more,
    }
    return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()


def error(status, message="no", code=None, **headers) -> tuple[int, dict, bytes]:
    said = {"message": message} if code is None else {"message": message, "code": code}
    return (
        status,
        {"Content-Type": "application/json", **headers},
        json.dumps({"error": said}).encode(),
    )


def page(text: bytes, kind="application/json") -> tuple[int, dict, bytes]:
    return 200, {"Content-Type": kind}, text


class Server(ThreadingHTTPServer):
    """A server whose `script` answers.

    script(prompt, n) says what becomes of the n-th request (from 0) of a prompt: (status, headers,
    body), or a function that takes the handler. `asked`: the requests' bodies; `headers`, `paths`:
    theirs.
    """

    daemon_threads, request_queue_size = True, 64

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.asked, self.headers, self.paths = None, [], [], []
        self.guard = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}/v1"

    def prompts(self) -> list[str]:
        return [body["messages"][-1]["content"] for body in self.asked]

    def handle_error(self, *_):
        pass  # a client that hung up


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.guard:
            prompt = body["messages"][-1]["content"]
            n = self.server.prompts().count(prompt)
            self.server.asked.append(body)
            self.server.paths.append(self.path)
            self.server.headers.append(
                {name.lower(): value for name, value in self.headers.items()}
            )
        what = self.server.script(prompt, n)
        if callable(what):
            self.close_connection = True
            return what(self)
        status, headers, content = what
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def cut_before(handler):
    handler.connection.shutdown(socket.SHUT_RDWR)


def cut_within(handler):
    handler.wfile.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n"
        b'{"choices"'
    )
    handler.connection.shutdown(socket.SHUT_RDWR)


def silent(handler):
    time.sleep(2)


def trickle(handler):
    handler.wfile.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n"
    )
    for _ in range(40):
        handler.wfile.write(b" ")
        time.sleep(0.05)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-server")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-another-server")
    monkeypatch.setattr(ssl, "create_default_context", TLS)
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


class Vllm(Handler):
    """Speaks what else is asked of vLLM: its version, and which models it has loaded."""

    def do_GET(self):
        models = [{"id": name} for name in self.server.models]
        said = {"data": models} if "/models" in self.path else {"version": "0.0.9"}
        body = json.dumps(said).encode()
        wanted = self.server.login
        refused = wanted is not None and self.headers.get("Authorization") != wanted
        self.send_response(401 if refused else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def vllm(server, monkeypatch):
    server.RequestHandlerClass, server.models, server.login = Vllm, ["llama"], None
    server.script = lambda prompt, n: reply(f"{prompt} {n}")
    monkeypatch.setenv("DSI_VLLM", server.url + "/")
    return server


@pytest.fixture
def pauses(monkeypatch):
    """The pauses between requests in seconds, recorded instead of slept: the clock jumps."""
    record = []

    class Jumping(pace.Clock):
        def now(self):
            return super().now() + sum(record)

        def wait(self, seconds, stop):
            record.append(seconds)

    monkeypatch.setattr(pace, "CLOCK", Jumping())
    return record
