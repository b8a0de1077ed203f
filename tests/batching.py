"""A test double of files and batches, as OpenAI's Batch API has them, on loopback."""

import json
import re
import threading
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


def completion(text):
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"choices": [choice], "model": "served", "usage": {"completion_tokens": 2}}


class Batches(ThreadingHTTPServer):
    """answers(prompt) = (status, body) of a line, or None = it has none; `ends` as batches end.

    alone(body) = (status, body) of a question that is asked alone.
    says(method, path, body) = what is sent in place of a body; `paths`: all that were asked.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.batches, self.single, self.troubles = {}, {}, [], []
        self.answers = lambda prompt: (200, completion(f"to {prompt}"))
        self.alone = lambda asked: (200, completion(f"to {asked['messages'][-1]['content']}"))
        self.ends, self.looks, self.page = "completed", 2, 100
        self.says, self.paths = lambda method, path, body: body, []
        self.url = f"http://127.0.0.1:{self.server_port}/v1"

    def lines(self, made):
        """Write what a batch brought, when it ends."""
        out, err = [], []
        for line in self.files[made["input_file_id"]]["content"].splitlines():
            asked = json.loads(line)
            said = self.answers(asked["body"]["messages"][-1]["content"])
            if said is None:
                gone = {"code": "batch_expired", "message": "This request could not be executed"}
                err.append({"custom_id": asked["custom_id"], "response": None, "error": gone})
                continue
            status, body = said
            found = {"custom_id": asked["custom_id"], "error": None}
            found["response"] = {"status_code": status, "body": body}
            (out if status == 200 else err).append(found)
        for name, found in (("output_file_id", out[::-1]), ("error_file_id", err)):
            if found:
                text = "\n".join(map(json.dumps, found)).encode()
                made[name] = self.file(name, text)["id"]

    def file(self, name, content):
        file = {"id": f"file-{len(self.files)}", "filename": name, "content": content}
        self.files[file["id"]] = file
        return file

    def handle_error(self, *_):
        pass


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.trouble("GET"):
            return None
        if found := re.fullmatch(r"/v1/files/([\w-]+)/content", self.path):
            return self.say(self.server.files[found[1]]["content"])
        if found := re.fullmatch(r"/v1/batches/([\w-]+)", self.path):
            made = self.server.batches[found[1]]
            made["looks"] += 1
            if made["looks"] >= self.server.looks and made["status"] == "in_progress":
                made["status"] = self.server.ends
                if made["status"] == "failed":
                    made["errors"] = {"data": [{"message": "the file is wrong"}]}
                else:
                    self.server.lines(made)
            return self.say(made)
        if self.path.startswith("/v1/files"):
            listed = [
                {k: v for k, v in f.items() if k != "content"} for f in self.server.files.values()
            ]
            return self.say({"data": listed})
        listed, after = list(self.server.batches.values()), self.path.partition("&after=")[2]
        begin = next((i for i, made in enumerate(listed, 1) if made["id"] == after), 0)
        end = begin + self.server.page
        return self.say({"data": listed[begin:end], "has_more": end < len(listed)})

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        if self.trouble("POST"):
            return None
        if self.path == "/v1/files":
            kind = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            parts = BytesParser().parsebytes(kind + raw).get_payload()
            (file,) = [part for part in parts if part.get_filename()]
            made = self.server.file(file.get_filename(), file.get_payload(decode=True))
            return self.say({"id": made["id"]})
        asked = json.loads(raw)
        if self.path == "/v1/batches":
            name = f"batch-{len(self.server.batches)}"
            made = {"id": name, "status": "in_progress", "looks": 0, **asked}
            self.server.batches[name] = made
            return self.say(made)
        self.server.single.append(asked)
        status, body = self.server.alone(asked)
        return self.say(body, status)

    def trouble(self, method):
        for one in self.server.troubles:
            if (method, self.path) == one[:2]:
                self.server.troubles.remove(one)
                self.say({"error": {"message": "broken"}}, one[2])
                return True
        return False

    def say(self, body, status=200):
        self.server.paths.append(self.path)
        body = self.server.says(self.command, self.path, body)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        if content.startswith(b"\x1f\x8b"):
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def batches(pauses, monkeypatch):
    monkeypatch.setenv("DSI_PROGRESS", "none")
    with Batches() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()
