"""The way to a service: one spelling of its URL, nothing of the environment, proxies, certificates.

A recorder of bytes on loopback stands for the service, and for a proxy.
"""

import gzip
import json
import os
import socket
import ssl
import threading
import time
import zlib
from contextlib import contextmanager, suppress
from itertools import repeat

import httpx2
import pytest
from helpers import says
from servers import KEY

from dsi_core.services import client
from dsi_core.services.address import CHAT, address, headers, place
from dsi_core.services.client import Client, Missed, Trouble
from dsi_core.services.network import BUNDLES, proxy
from dsi_core.services.service import Service
from dsi_core.settings.schema import Endpoint

CANARY = "canary-7f3a"


def end(listener):
    """Close it, also for a thread in its `accept`, which would wait on, on whatever opens next."""
    with suppress(OSError):  # where only what is connected can be shut down
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@contextmanager
def recorder(answer=b'{"choices": []}', status="200 OK"):
    """A server that keeps every byte that it gets; gives (port, the list of requests)."""
    got, listener = [], socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):  # who hangs up
                raw = b""
                while chunk := connection.recv(65536):
                    raw += chunk
                    head, _, rest = raw.partition(b"\r\n\r\n")
                    size = [x for x in head.lower().split(b"\r\n") if b"content-length:" in x]
                    if raw[0] == 22:  # TLS
                        break
                    if b"\r\n\r\n" in raw and (
                        not size or len(rest) >= int(size[0].split(b":")[1])
                    ):
                        break
                if raw:
                    got.append(raw)
                    begin = f"HTTP/1.1 {status}\r\nContent-Length: {len(answer)}\r\n"
                    cookie = "Set-Cookie: who=you; Path=/\r\nConnection: close\r\n\r\n"
                    connection.sendall((begin + cookie).encode() + answer)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1], got
    finally:
        end(listener)


def of(base_url, **changes):
    return Endpoint(**{"base_url": base_url, "model": "m", "timeout": 5, **changes})


# --- URLs --------------------------------------------------------------------------------------

SPELLINGS = [
    "https://host.org/v1",
    " https://host.org/v1\n",
    "https://host.org/v1/",
    "https://HOST.org:443/v1//",
    "HTTPS://host.org/v1/chat/completions",
    "https://host.org/v1/chat/completions/",
    "https://host.org/v1/completions",
    "https://host.org/v1/v1",
    "https://host.org//v1/models#top",
    "https://host.org/v1?token=word",
    "https://me:word@host.org/v1/chat",
]


@pytest.mark.parametrize("url", SPELLINGS)
def test_all_spellings_of_a_url_are_one(url):
    found = address(url)
    assert found.base == place(of(url)) == "https://host.org/v1"
    assert found.chat == "https://host.org/v1/chat/completions" and "word" not in repr(found)


def test_what_is_another_place_stays_one():
    urls = ["http://h/v1", "https://h/v1", "https://h:8443/v1", "https://h/V1", "https://h/api/v1"]
    assert len({address(url).base for url in urls}) == len(urls)
    assert address("http://[::1]:80/v1").base == "http://[::1]/v1"
    assert address("https://h/v1beta/openai/").base == "https://h/v1beta/openai"


def test_a_deployment_of_azure_keeps_its_query_and_has_a_key_of_its_own():
    where = address(
        "https://x.openai.azure.com/openai/deployments/g/chat/completions?api-version=3"
    )
    assert where.of(CHAT) == (
        "https://x.openai.azure.com/openai/deployments/g/chat/completions?api-version=3"
    )
    assert headers(where, "k")["api-key"] == "k"
    assert "Authorization" not in headers(where, "k")
    assert headers(where, "eyJ0")["Authorization"] == "Bearer eyJ0"
    assert headers(address("https://h/v1"), "k")["Authorization"] == "Bearer k"
    assert "Authorization" not in headers(address("https://h/v1"), "")
    assert where.azure and not address("https://h/openai.azure.com/v1").azure


@pytest.mark.parametrize(
    "url, likely",
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1"),
        ("https://api.openai.com/", "https://api.openai.com/v1"),
        ("https://openrouter.ai", "https://openrouter.ai/api/v1"),
        ("http://localhost:11434/api/chat", "http://localhost:11434/v1"),
        ("https://x.openai.azure.com", "https://x.openai.azure.com/openai/v1"),
        ("https://h/v1", None),
    ],
)
def test_what_was_probably_meant(url, likely):
    assert address(url).likely == likely


@pytest.mark.parametrize(
    "url, hint",
    [
        ("localhost:8000/v1", "is it http://localhost:8000/v1?"),
        ("api.host.org/v1", "is it https://api.host.org/v1?"),
        ("https://h:99999/v1", "'https://h:99999/v1' is not"),
        ("https://me:word@h:x/v1", "'https://h:x/v1' is not"),
        ("https://me:wo/word@h/v1", "'https://h/v1' is not"),
        ("https://me:wo@word@h:x/v1", "'https://h:x/v1' is not"),
        ("https://me:word?word@h/v1", "base_url (not shown: it holds a login or a query) is not"),
        ("h/v1?code=abc@word", "(not shown: it holds a login or a query) is not of the form https"),
        ("https://h:x/v1?code=abc@word", "base_url (not shown: it holds a login or a query) is"),
        ("me:word@h/v1", "'h/v1' is not"),
        ("http://[::1:8000/v1", "'http://[::1:8000/v1' is not"),
    ],
)
def test_a_url_that_is_none_says_what_it_may_be(url, hint):
    with pytest.raises(ValueError) as error:
        address(url)
    says(error, hint)
    assert "word" not in str(error.value)


# --- What reaches a service --------------------------------------------------------------------

# What the HTTP library, Python's own, and the client library of OpenAI read
READ = (  # noqa: SIM905
    "OPENAI_API_KEY OPENAI_ADMIN_KEY OPENAI_ORG_ID OPENAI_ORGANIZATION OPENAI_PROJECT_ID "
    "OPENAI_WEBHOOK_SECRET OPENAI_API_VERSION OPENAI_API_TYPE OPENAI_LOG AZURE_OPENAI_API_KEY "
    "AZURE_OPENAI_AD_TOKEN AZURE_OPENAI_ENDPOINT AWS_BEARER_TOKEN_BEDROCK AWS_BEDROCK_BASE_URL "
    "AWS_REGION AWS_DEFAULT_REGION GOOGLE_CLOUD_PROJECT GOOGLE_CLOUD_LOCATION "
    "OPENROUTER_API_KEY ANTHROPIC_API_KEY HF_TOKEN FTP_PROXY SSLKEYLOGFILE USER_AGENT"
).split()


@pytest.fixture
def canaries(monkeypatch, tmp_path):
    """Every variable that may matter holds a canary."""
    for name in READ:
        monkeypatch.setenv(name, f"{CANARY}-{name}")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"X-Canary: {CANARY}-header")
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://{CANARY}.invalid/v1")
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / CANARY))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://{CANARY}:{CANARY}@127.0.0.1:9")
    (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login {CANARY} password {CANARY}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("TEST_KEY", KEY)


@pytest.mark.parametrize("key_env", ["TEST_KEY", None])
def test_nothing_of_the_environment_reaches_a_service_but_the_named_key(canaries, key_env):
    with recorder() as (port, got):
        for _ in range(2):  # the second after a cookie was set
            asking = Client(of(f"http://127.0.0.1:{port}/v1", key_env=key_env))
            assert asking.post({"messages": [{"content": "a question"}]}).status == 200
            assert asking.send("GET", "/models").status == 200
            asking.close()
    sent = b"".join(got).decode()
    assert len(got) == 4 and "a question" in sent
    assert sent.count(KEY) == (4 if key_env else 0)
    assert CANARY not in sent and "cookie" not in sent.lower()
    named = {"TEST_KEY"} if key_env else set()
    values = {n: v for n, v in os.environ.items() if len(v) > 3 and n not in named}
    assert [name for name, value in values.items() if value in sent and value != "127.0.0.1"] == []
    names = {line.partition(":")[0].lower() for line in sent.splitlines() if ": " in line}
    assert names <= {
        *("host", "accept", "accept-encoding", "connection", "user-agent", "content-type"),
        *("content-length", "authorization"),
        *('{"messages"',),
    }


def test_a_login_of_the_url_is_sent_and_shown_nowhere():
    with recorder() as (port, got):
        asking = Client(of(f"http://me:word-0123@127.0.0.1:{port}/v1?key=word-4567"))
        asking.post({})
    assert b"POST /v1/chat/completions?key=word-4567" in got[0]
    assert b"Authorization: Basic bWU6d29yZC0wMTIz" in got[0]
    assert {"me:word-0123", "word-0123", "word-4567"} <= set(asking.secrets())
    assert "word" not in repr(asking.address)


@pytest.mark.parametrize(
    "login, query, said, shown",
    [
        ("me:word-0123", "", "me, Basic bWU6d29yZC0wMTIz", "me, Basic [key]"),
        ("token-0123", "", "Basic dG9rZW4tMDEyMzo= token-0123", "Basic [key] [key]"),
        ("token-0123:x", "", "token-0123", "[key]"),
        ("", "word-0123", "/v1?word-0123", "/v1?[key]"),
        ("", "a&word-0123&b=1&v=2024-10-21", "1. /v1?a&word-0123&b=1", "1. /v1?a&[key]&b=1"),
        ("", "key=ab%2Bcd%2FEF", "ab%2Bcd%2FEF ab+cd/EF", "[key] [key]"),
        ("", "key=word+0123", "word+0123 word 0123", "[key] [key]"),
        ("", "key=w\xf6rd", "w\xf6rd w%C3%B6rd", "[key] [key]"),
    ],
)
def test_a_secret_of_an_address_is_hidden_in_every_form(login, query, said, shown):
    at = f"{login}@" if login else ""
    assert Service(of(f"http://{at}127.0.0.1:9/v1?{query}")).shown(said) == shown


def test_a_login_of_a_proxy_is_hidden(proxies):
    service = Service(of("http://host/v1", proxy="http://me:word-0123@127.0.0.1:9"))
    assert service.shown("Basic bWU6d29yZC0wMTIz, word-0123") == "Basic [key], [key]"


def test_a_login_and_a_key_are_one_too_many(monkeypatch):
    monkeypatch.setenv("TEST_KEY", KEY)
    with pytest.raises(ValueError) as error:
        Client(of("https://me:word@host/v1", key_env="TEST_KEY"))
    says(error, "https://host/v1 holds a login", "--key-env names a key")
    assert "word" not in str(error.value) and KEY not in str(error.value)


def test_a_redirect_is_not_followed():
    with recorder(status="307 Temporary Redirect") as (port, got):
        assert Client(of(f"http://127.0.0.1:{port}/v1")).post({}).status == 307
    assert len(got) == 1


# --- Proxies -----------------------------------------------------------------------------------


@pytest.fixture
def proxies(monkeypatch):
    """Sets the environment's proxies; it names no others, and no certificates."""
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
    for name in (*names, *map(str.lower, names), *BUNDLES):
        monkeypatch.delenv(name, raising=False)
    return lambda **values: [monkeypatch.setenv(n, v) for n, v in values.items()]


def test_a_proxy_gets_its_login_and_a_service_does_not(proxies):
    """Through a tunnel and, without TLS, in a request that the proxy sends on without it."""
    with recorder() as (port, got):
        proxies(HTTP_PROXY=f"http://me:word@127.0.0.1:{port}", HTTPS_PROXY=f"127.0.0.1:{port}")
        asking = Client(of("http://service.invalid/v1"))
        assert asking.post({"a": 1}).status == 200
        missed = Client(of("https://service.invalid/v1")).post({"a": 1})
    assert got[0].startswith(b"POST http://service.invalid/v1/chat/completions")
    assert b"Proxy-Authorization: Basic bWU6d29yZA==" in got[0]
    assert got[1].startswith(b"CONNECT service.invalid:443") and b"Authorization" not in got[1]
    assert isinstance(missed, Missed)
    says_where = f"through the proxy http://127.0.0.1:{port} (the environment's HTTPS_PROXY)"
    assert says_where in missed.message and "word" not in missed.message


def test_a_dead_proxy_is_named_without_its_login(proxies):
    proxies(ALL_PROXY="http://me:word@127.0.0.1:9")
    why = Client(of("https://service.invalid/v1")).reach()
    assert "proxy http://127.0.0.1:9 (the environment's ALL_PROXY)" in why and "word" not in why


@pytest.mark.parametrize("given", ["http://me:wo@word@p:1", "me:word@p:1"])
def test_no_part_of_a_proxys_login_is_shown(given):
    assert proxy(address("https://host/v1"), given).shown == "http://p:1 (--proxy)"


@pytest.mark.parametrize(
    "given", ["http://p:80a0", "http://[::1:80", "me:wo/word@p", "http://me:wo#word@p:1", "foo"]
)
def test_a_proxy_that_is_none_is_named_without_its_login(given):
    with pytest.raises(ValueError) as error:
        Client(of("https://host/v1", proxy=given))
    says(error, "the proxy http://", "is not of the form http://host:port", "--proxy none")
    assert "wo" not in str(error.value)


def test_this_machine_is_reached_directly_unless_a_proxy_is_asked_for(proxies):
    proxies(HTTP_PROXY="http://127.0.0.1:9", ALL_PROXY="socks5://127.0.0.1:9")
    for host in ("127.0.0.1:8000", "localhost", "[::1]:80", "127.9.9.9", "a.localhost"):
        assert proxy(address(f"http://{host}/v1")) is None
    assert proxy(address("http://localhost/v1"), "http://p:1").shown == "http://p:1 (--proxy)"
    assert proxy(address("http://host/v1"), "none") is None
    assert proxy(address("http://host/v1")).shown.startswith("http://127.0.0.1:9 ")


@pytest.mark.parametrize(
    "exceptions, direct",
    [
        ("host.org", True),
        (".host.org", True),
        ("*.host.org", True),
        ("org", True),
        ("other, API.host.ORG", True),
        ("api.host.org:8443", True),
        ("*", True),
        ("ost.org", False),
        ("api.host.org:1", False),
        ("", False),
    ],
)
def test_no_proxy_names_hosts(proxies, exceptions, direct):
    proxies(HTTPS_PROXY="http://p:1", NO_PROXY=exceptions)
    assert (proxy(address("https://api.host.org:8443/v1")) is None) is direct


def test_no_proxy_names_networks(proxies):
    proxies(HTTP_PROXY="http://p:1", NO_PROXY="10.0.0.0/8, fd00::/8")
    assert proxy(address("http://10.2.3.4/v1")) is None
    assert proxy(address("http://[fd00::1]/v1")) is None
    assert proxy(address("http://11.2.3.4/v1")) is not None


def test_a_socks_proxy_without_its_package_is_one_line(proxies):
    proxies(ALL_PROXY="socks5h://me:word@p:1080")
    with pytest.raises(ValueError) as error:
        Client(of("https://host/v1"))
    says(error, "socks5h://p:1080 (the environment's ALL_PROXY)", "socksio", "--proxy none")
    assert "word" not in str(error.value)
    with pytest.raises(ValueError, match="not http, https, socks5"):
        proxy(address("https://host/v1"), "ftp://p:1")
    Client(of("http://localhost:1/v1")).close()  # which no proxy is asked for


# --- Certificates ------------------------------------------------------------------------------


def test_a_certificate_that_is_not_trusted_is_named_with_what_helps(proxies, tls, monkeypatch):
    port, authority = tls
    missed = Client(of(f"https://localhost:{port}/v1")).post({})
    assert missed.trouble is Trouble.BARRED
    assert "certificate is not trusted" in missed.message and "SSL_CERT_FILE" in missed.message
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(authority))
        assert Client(of(f"https://localhost:{port}/v1")).post({}).status == 200
        monkeypatch.delenv(name)


def test_a_file_of_certificates_that_is_none(proxies, monkeypatch, tmp_path):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with pytest.raises(
        ValueError, match=r"REQUESTS_CA_BUNDLE names .*none.pem, which is not there"
    ):
        Client(of("https://host/v1"))
    (tmp_path / "none.pem").write_text("no certificate")
    with pytest.raises(ValueError, match="holds no certificates"):
        Client(of("https://host/v1"))


def test_tls_to_a_server_without_it(proxies):
    with recorder() as (port, _):
        missed = Client(of(f"https://127.0.0.1:{port}/v1")).post({})
    assert missed.trouble is Trouble.BARRED and "does the server speak http://?" in missed.message


@contextmanager
def tunnel(context=None):
    """A proxy that connects and passes all on; with a context it speaks TLS. Gives its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def relay(source, target):
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def serve():
        with suppress(OSError):  # it is closed
            while True:
                near = listener.accept()[0]
                near = context.wrap_socket(near, server_side=True) if context else near
                host, port = near.recv(65536).split()[1].decode().split(":")
                far = socket.create_connection((host, int(port)))
                near.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=relay, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        end(listener)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_service_with_tls_is_reached_through_a_tunnel(proxies, tls, monkeypatch, scheme):
    port, authority = tls
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    context = None
    if scheme == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority, authority.with_name("key.pem"))
    with tunnel(context) as way:
        asking = Client(of(f"https://localhost:{port}/v1", proxy=f"{scheme}://localhost:{way}"))
        assert asking.post({"a": "a" * 10**5}).raw == b"{}"
        asking.close()


@pytest.fixture
def tls(tmp_path):
    """A server whose certificate signs itself; gives (port, its certificate's file)."""
    import subprocess
    from http.server import BaseHTTPRequestHandler, HTTPServer

    key, file = tmp_path / "key.pem", tmp_path / "cert.pem"
    request = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost"]
    command = [*request.split(), "-keyout", str(key), "-out", str(file), *names]
    subprocess.run(command, check=True, capture_output=True)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_):
            pass

    class Quiet(HTTPServer):
        def handle_error(self, *_):
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    with Quiet(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_port, file
        server.shutdown()


# --- Dead hosts --------------------------------------------------------------------------------


def test_a_dead_host_is_named_soon(proxies, monkeypatch):
    why = Client(of("http://127.0.0.1:9/v1")).reach()
    assert why == "connection failed: [Errno 111] Connection refused"
    assert "connection failed" in Client(of("http://no-such-host.invalid/v1")).reach()
    monkeypatch.setattr(client, "CONNECT_S", 0.2)
    monkeypatch.setattr(socket, "create_connection", lambda *_: time.sleep(2) or socket.socket())
    begun = time.monotonic()
    assert "no connection within 0.2 s" in Client(of("http://10.255.255.1/v1")).reach()
    assert time.monotonic() - begun < 2


def test_a_connection_that_is_not_made_says_how_long_it_was_waited(proxies, monkeypatch):
    asking = Client(of("http://host/v1", timeout=3))
    late = httpx2.ConnectTimeout("late")
    monkeypatch.setattr(asking._http, "stream", lambda *_, **__: (_ for _ in ()).throw(late))
    assert "no connection within 3 s" in asking.post({}).message


def test_a_body_is_json_whatever_a_prompt_holds(proxies):
    body = {"a": "\u20ac, half a pair \ud83d, \x00"}
    with recorder() as (port, got):
        Client(of(f"http://127.0.0.1:{port}/v1?v=1")).post(body)
        Client(of(f"http://127.0.0.1:{port}/v1?v=1")).send("GET", "/batches?limit=1")
    assert json.loads(got[0].partition(b"\r\n\r\n")[2]) == body
    assert b"GET /v1/batches?limit=1&v=1 " in got[1]


# --- Time, and size ----------------------------------------------------------------------------


@contextmanager
def sending(pieces, every_s=0.02):
    """A server that reads what lies there and sends piece by piece; gives its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(connection):
        with connection, suppress(OSError):  # who hangs up
            connection.recv(65536)
            for piece in pieces():
                connection.sendall(piece)
                time.sleep(every_s)
            connection.shutdown(socket.SHUT_WR)

    def serve():
        with suppress(OSError):  # it is closed
            while True:
                threading.Thread(target=answer, args=listener.accept()[:1], daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        end(listener)


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


BEGIN = b"HTTP/1.1 200 OK\r\n"
CHUNKED = BEGIN + b"Transfer-Encoding: chunked\r\n"
GZIP = CHUNKED + b"Content-Encoding: gzip\r\n\r\n"
EMPTY = b"\0\0\0\xff\xff"  # a block of deflate that holds nothing
ENDLESS = {  # how it begins, and goes on for ever
    "nothing": (b"", b""),
    "header": (BEGIN + b"X: ", b"a"),
    "headers": (BEGIN, b"X: a\r\n"),
    "informational": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "body": (BEGIN + b"Content-Length: 99999\r\n\r\n", b" "),
    "size of a chunk": (CHUNKED + b"\r\n", b"0"),
    "chunks": (CHUNKED + b"\r\n", chunk(b" ")),
    "trailers": (CHUNKED + b"\r\n0\r\n", b"X: a\r\n"),
    "packed nothing": (GZIP + chunk(gzip.compress(b"")[:10]), chunk(EMPTY)),
    "after its packed end": (GZIP + chunk(gzip.compress(b"{}")), chunk(b"x")),
}


@pytest.mark.parametrize(
    "how, through",
    [(how, "") for how in ENDLESS] + [("header", "proxy"), ("informational", "tunnel")],
)
def test_a_reply_without_end_is_late_whatever_it_is_made_of(proxies, how, through):
    begin, more = ENDLESS[how]

    def pieces():
        yield begin
        yield from repeat(more)

    with sending(pieces) as port:
        here = f"http://127.0.0.1:{port}"
        far = "https://host.invalid/v1" if through == "tunnel" else "http://host.invalid/v1"
        where = {"base_url": far, "proxy": here} if through else {"base_url": f"{here}/v1"}
        asking, begun = Client(of(**where, timeout=0.3)), time.monotonic()
        missed = asking.post({})
        assert time.monotonic() - begun < 2.3
    assert missed.trouble is Trouble.LATE
    assert missed.message.startswith("no complete answer within 0.3 s")


def test_a_service_that_reads_no_question_is_late(proxies):
    with sending(lambda: iter([time.sleep(3) or b""])) as port:
        asking, begun = Client(of(f"http://127.0.0.1:{port}/v1", timeout=0.5)), time.monotonic()
        assert asking.post({"a": "a" * 2**25}).trouble is Trouble.LATE
        assert time.monotonic() - begun < 2.5


def test_a_connection_that_was_used_before_has_a_time_of_its_own(proxies):
    whole = BEGIN + b"Content-Length: 2\r\n\r\n{}"
    with sending(lambda: iter([whole]), 0.6) as port:
        asking = Client(of(f"http://127.0.0.1:{port}/v1", timeout=0.5))
        assert asking.post({}).raw == b"{}"
        time.sleep(0.3)  # it lies idle, and no answer comes any more
        begun = time.monotonic()
        assert asking.post({}).trouble in (Trouble.LATE, Trouble.LOST)
        assert time.monotonic() - begun < 2.5


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_that_comes_slowly_and_in_time_is_whole(proxies, packed):
    pack = zlib.compressobj(wbits=31)

    def pieces():
        yield GZIP if packed else CHUNKED + b"\r\n"
        for _ in range(6):
            text = b"data: {}\n\n"
            yield chunk(pack.compress(text) + pack.flush(zlib.Z_SYNC_FLUSH) if packed else text)
        yield (chunk(pack.flush()) if packed else b"") + chunk(b"")

    with sending(pieces, 0.1) as port:
        got = Client(of(f"http://127.0.0.1:{port}/v1", timeout=3)).post({})
    assert got.status == 200 and got.raw == b"data: {}\n\n" * 6


def test_what_is_packed_is_unpacked_up_to_a_limit(proxies, monkeypatch):
    monkeypatch.setattr(client, "UNPACKED", 7)
    text = bytes(range(256)) * 9
    for most, size in ((None, len(text)), (len(text), len(text)), (len(text) - 1, 0)):
        head = b"Connection: close\r\n\r\n"
        pieces = [BEGIN + b"Content-Encoding: GZip\r\n" + head, gzip.compress(text)]
        with sending(lambda pieces=pieces: iter(pieces), 0) as port:
            got = Client(of(f"http://127.0.0.1:{port}/v1")).send("GET", "/x", most=most)
        assert got.raw == text if size else got.trouble is Trouble.BOUNDLESS


@pytest.mark.parametrize("how", ["gzip, gzip", "deflate", "br"])
def test_what_is_packed_in_another_way_is_not_opened(proxies, how):
    bomb = BEGIN + f"Content-Encoding: {how}\r\n\r\n".encode()
    with sending(lambda: repeat(bomb)) as port:
        missed = Client(of(f"http://127.0.0.1:{port}/v1")).post({})
    assert missed.trouble is Trouble.BOUNDLESS and missed.message.endswith(f"packed as {how}")


def test_a_plain_reply_that_calls_itself_packed_is_no_lost_connection(proxies):
    whole = BEGIN + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"
    with sending(lambda: iter([whole]), 0) as port:
        missed = Client(of(f"http://127.0.0.1:{port}/v1")).post({})
    said = "the answer is said to be packed as gzip and cannot be unpacked: "
    assert missed.trouble is Trouble.LOST and missed.message.startswith(said)


def test_a_reply_goes_into_a_file_and_an_error_does_not(proxies, tmp_path):
    with open(tmp_path / "reply", "w+b") as file:
        for status, said in (("500 No", b"broken"), ("200 OK", b"whole"), ("200 OK", b"new")):
            with recorder(said, status) as (port, _):
                asking = Client(of(f"http://127.0.0.1:{port}/v1"))
                got = asking.send("GET", "/x", most=5, into=file)
            file.seek(0)
            kept = b"" if got.status == 500 else said
            assert (got.raw, file.read()) == (b"" if kept else said, kept)
        with recorder(b"longer") as (port, _):
            missed = Client(of(f"http://127.0.0.1:{port}/v1")).send("GET", "/x", most=5, into=file)
        assert missed.trouble is Trouble.BOUNDLESS
