"""The way to a service: its address, and an HTTP client that brings nothing from the environment.

What reaches a service is what the command line names: address, key, body. The environment may say
which proxy to use and which certificates to trust; a proxy's credentials go to the proxy alone.
"""

import ipaddress
import json
import logging
import os
import re
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2

from dsi_core.settings.schema import Endpoint

BODY_BYTES = 2**25  # a reply beyond this is not read to its end: it counts as a failed request
CONNECT_S = 10.0  # seconds in which a host must be found and take a connection
CHAT = "/chat/completions"
PORTS = {"http": 80, "https": 443}
BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR")
ROOTS = {  # where the API of a host begins that is given alone
    "openrouter.ai": "/api/v1",
    "api.groq.com": "/openai/v1",
    "generativelanguage.googleapis.com": "/v1beta/openai",
    "api.fireworks.ai": "/inference/v1",
    "api.deepinfra.com": "/v1/openai",
    "api.perplexity.ai": "",
    "dashscope.aliyuncs.com": "/compatible-mode/v1",
    "open.bigmodel.cn": "/api/paas/v4",
}
AZURE = ("openai.azure.com", "cognitiveservices.azure.com", "services.ai.azure.com")


@dataclass(frozen=True)
class Address:
    """A service's URL, written in the one way that all its spellings share.

    Attributes
    ----------
    base
        Scheme, host, a port that is not the scheme's own, path: up to /chat/completions.
    query
        What follows "?", which may be secret.
    login
        "name:password", or "".
    """

    base: str
    query: str = field(default="", repr=False)
    login: str = field(default="", repr=False)

    @property
    def chat(self) -> str:
        """Where questions go, to be shown."""
        return self.base + CHAT

    def of(self, path: str) -> str:
        """Give the URL of a path below `base`, with the query."""
        joint = "&" if "?" in path else "?"
        return f"{self.base}{path}" + (f"{joint}{self.query}" if self.query else "")

    @property
    def likely(self) -> str | None:
        """What was probably meant, if nothing answers here; None = no guess."""
        parts = urlsplit(self.base)
        root = f"{parts.scheme}://{parts.netloc}"
        azure = (parts.hostname or "").endswith(AZURE)
        if not azure and re.search(r"/v\d", parts.path):
            return None
        path = "/openai/v1" if azure else ROOTS.get(parts.hostname or "")
        if path is None:
            path = re.sub(r"/(api|chat|completions?|generate|models)$", "", parts.path) + "/v1"
        return root + path if root + path != self.base else None


def address(url: str) -> Address:
    """Read a base URL, however it is written.

    Blanks around it, a slash behind, a scheme or host in capitals, the scheme's own port, a doubled
    /v1 and what belongs to a single call (/chat/completions, /models) are taken off.

    Raises
    ------
    ValueError
        If it is none; what may be secret in it is not shown.
    """
    given = "".join(url.split())
    shown = re.sub("//[^/@]*@", "//", given).split("?")[0]
    wrong = f"base_url {shown!r} is not of the form https://host/v1"
    if not re.match(r"https?://[^/?#]", given, re.IGNORECASE):
        named = re.match(r"[\w.-]+(:\d+)?(/|$)", given)
        scheme = "http" if re.match(r"localhost|[\d.]+[:/]", given) else "https"
        hint = f"; is it {scheme}://{shown}?" if named else ""
        raise ValueError(wrong + hint)
    parts = urlsplit(given)
    try:
        port, host = parts.port, parts.hostname
    except ValueError:
        raise ValueError(wrong) from None
    if not host:
        raise ValueError(wrong)
    host = f"[{host}]" if ":" in host else host
    port = None if port == PORTS[parts.scheme] else port
    path = re.sub("/+", "/", parts.path).rstrip("/")
    path = re.sub(r"(/chat)?/completions$|/(responses|embeddings|models)$|/chat$", "", path)
    path = re.sub(r"(/v\d\w*)\1+$", r"\1", path).rstrip("/")
    login = ""
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    place = f"{parts.scheme}://{host}" + (f":{port}" if port else "")
    return Address(place + path, parts.query, login)


def place(endpoint: Endpoint) -> str:
    """Give the service's URL as all its spellings share it, without what may be secret in it."""
    return address(endpoint.base_url).base


def key(endpoint: Endpoint) -> str:
    """Read the key from the variable that is named for it; "" = none is needed.

    Raises `ValueError` where the variable is not set or holds no key.
    """
    if not endpoint.key_env:
        return ""
    found = os.environ.get(endpoint.key_env, "").strip()
    if not re.fullmatch("[!-~]+", found):  # else the HTTP library's error would quote it
        state = "holds characters that no key has" if found else "is not set"
        raise ValueError(
            f"the environment variable {endpoint.key_env}, "
            f"for the key of {place(endpoint)}, {state}"
        )
    return found


def headers(where: Address, key: str) -> dict[str, str]:
    """Give the headers that say who asks: the key, as this service wants it, or a URL's login."""
    said = {"Accept": "application/json"}
    azure = (urlsplit(where.base).hostname or "").endswith(AZURE) or "/deployments/" in where.base
    if where.login:
        said["Authorization"] = f"Basic {b64encode(where.login.encode()).decode()}"
    elif key and not (azure and not key.startswith("eyJ")):  # such is a token of Entra
        said["Authorization"] = f"Bearer {key}"
    if key and azure and "Authorization" not in said:
        said["api-key"] = key
    return said


def json_of(body: dict[str, Any]) -> dict[str, Any]:
    """Give the content of a request, and the header that goes with it.

    In ASCII: half a surrogate pair, which a prompt may hold, has no UTF-8.
    """
    return {
        "content": json.dumps(body).encode(),
        "headers": {"Content-Type": "application/json"},
    }


# ------------------------------------------------------------------------------------ the way there


@dataclass(frozen=True)
class Proxy:
    """A proxy on the way; `shown` is its address without credentials, with who named it."""

    url: str = field(repr=False)
    shown: str


def proxy(where: Address, wanted: str | None = None) -> Proxy | None:
    """Find the proxy on the way to a service; None = none.

    Parameters
    ----------
    wanted
        Its URL, "none", or None: the environment's, but none to this very machine.

    Raises
    ------
    ValueError
        If it is no URL of a proxy, or one of a kind that needs a package that is not there.
    """
    parts = urlsplit(where.base)
    if wanted is not None:
        found, by = wanted.strip(), "--proxy"
    else:
        known = getproxies()
        kind = next((kind for kind in (parts.scheme, "all") if known.get(kind)), None)
        if kind is None or _direct(parts.hostname or "", parts.netloc, known.get("no", "")):
            return None
        found, by = known[kind].strip(), f"the environment's {kind.upper()}_PROXY"
    if found.lower() in ("", "none", "direct"):
        return None
    url = found if "://" in found else f"http://{found}"
    shown = f"{re.sub('//[^/@]*@', '//', url).rstrip('/')} ({by})"
    if not re.match(r"(https?|socks5h?)://[^/]", url, re.IGNORECASE):
        raise ValueError(
            f"the proxy {shown} is not http, https, socks5 or socks5h; or --proxy none"
        )
    if url.lower().startswith("socks") and find_spec("socksio") is None:  # what httpx2 needs
        raise ValueError(
            f"the proxy {shown} speaks SOCKS: pip install socksio, or take --proxy none, or "
            f"name {parts.hostname} in NO_PROXY"
        )
    return Proxy(url, shown)


def _direct(host: str, netloc: str, exceptions: str) -> bool:
    """Whether no proxy of the environment is used: this machine, or NO_PROXY names the host."""
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        number = None
    if host == "localhost" or host.endswith(".localhost") or (number and number.is_loopback):
        return True
    port = netloc.rpartition("@")[2].lower().removeprefix(f"[{host}]").removeprefix(host)
    for exception in exceptions.lower().split(","):
        one = exception.strip()
        try:
            if number and number in ipaddress.ip_network(one, strict=False):
                return True
        except ValueError:
            pass  # a name
        name = one.removeprefix("*").removeprefix(".")
        if one == "*" or (
            name and any(f".{way}".endswith(f".{name}") for way in (host, host + port))
        ):
            return True
    return bool(proxy_bypass(host))  # as the system's own settings say


def certificates() -> ssl.SSLContext:
    """Give what is trusted: the file or folder that the environment names, else the system's.

    Raises `ValueError` for a file that is not there or holds no certificate.
    """
    name = next((name for name in BUNDLES if os.environ.get(name)), None)
    if name is None:
        return httpx2.create_ssl_context(trust_env=False)
    path = Path(os.environ[name])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        folder = path.is_dir()
        context.load_verify_locations(*(None, str(path)) if folder else (str(path), None))
    except OSError as error:  # ssl.SSLError is one
        why = "is not there" if not path.exists() else f"holds no certificates ({error})"
        raise ValueError(f"{name} names {path}, which {why}") from None
    return context


# ------------------------------------------------------------------------------------- what is sent


class Trouble(StrEnum):
    """Why no reply came."""

    LATE = "late"  # it took too long
    LOST = "lost"  # the connection ended before the reply did
    UNREACHED = "unreached"  # there is no connection
    BARRED = "barred"  # a certificate or a proxy is in the way: trying again does not help
    BOUNDLESS = "boundless"  # a reply without end


@dataclass(frozen=True)
class Received:
    """A reply, whatever it says."""

    status: int
    headers: Mapping[str, str]
    raw: bytes


@dataclass(frozen=True)
class Missed:
    """A request that got no reply."""

    trouble: Trouble
    message: str


class Client:
    """A client of one service. Nothing is sent before it is asked to.

    Raises
    ------
    ValueError
        For an address, a key, a proxy or a file of certificates that cannot be.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.address = address(endpoint.base_url)
        self.key = key(endpoint)
        self.proxy = proxy(self.address, endpoint.proxy)
        self.timeout = endpoint.timeout
        tls = self.address.base.startswith("https:") or (
            self.proxy is not None and self.proxy.url.lower().startswith("https:")
        )
        trusted = certificates() if tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        way = None
        if self.proxy is not None:
            theirs = trusted if self.proxy.url.lower().startswith("https:") else None
            way = httpx2.Proxy(self.proxy.url, ssl_context=theirs)
        logging.getLogger("httpx2").setLevel(logging.WARNING)  # it logs whole URLs
        self._http = httpx2.Client(
            headers=headers(self.address, self.key),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            timeout=httpx2.Timeout(endpoint.timeout, connect=min(CONNECT_S, endpoint.timeout)),
            limits=httpx2.Limits(max_connections=None),
            follow_redirects=False,  # a key goes nowhere but where it was sent
            trust_env=False,
            proxy=way,
            verify=trusted,
        )

    def close(self) -> None:
        """End its connections."""
        self._http.close()

    def secrets(self) -> list[str]:
        """Give what no message may show."""
        values = [pair.partition("=")[2] for pair in self.address.query.split("&")]
        login = self.address.login
        return [one for one in (self.key, login, login.partition(":")[2], *values) if one]

    def post(self, body: dict) -> Received | Missed:
        """Put one question."""
        return self.send("POST", CHAT, **json_of(body))

    def send(
        self, method: str, path: str, *, most: int | None = None, **what: Any
    ) -> Received | Missed:
        """Send one request and read its reply piece by piece, within the time limit as a whole.

        The HTTP library's own limit starts anew with every byte.

        Parameters
        ----------
        most
            Bytes of the reply; None = `BODY_BYTES`.
        what
            As httpx has it: content, headers, files, data.
        """
        raw, deadline = bytearray(), time.monotonic() + self.timeout
        most = most or BODY_BYTES
        try:
            with self._http.stream(method, self.address.of(path), **what) as response:
                for chunk in response.iter_bytes():
                    raw += chunk
                    if len(raw) > most:
                        why = f"an answer of more than {most} bytes"
                        return Missed(Trouble.BOUNDLESS, why)
                    if time.monotonic() > deadline:
                        return self._late()
        except httpx2.ConnectTimeout:
            return self._missed(Trouble.UNREACHED, f"no connection within {CONNECT_S:g} s")
        except httpx2.TimeoutException:
            return self._late()
        except httpx2.ProxyError as error:
            final = re.match(r"4\d\d", str(error))
            return self._missed(Trouble.BARRED if final else Trouble.UNREACHED, str(error))
        except httpx2.ConnectError as error:
            return self._unconnected(error)
        except (httpx2.RequestError, httpx2.StreamError) as error:
            return self._missed(Trouble.LOST, str(error.__cause__ or error))
        return Received(response.status_code, response.headers, bytes(raw))

    def reach(self) -> str | None:
        """Connect once and send nothing; say why that fails within `CONNECT_S`, or None."""
        first = urlsplit(self.proxy.url if self.proxy else self.address.base)
        port = first.port or PORTS.get(first.scheme.lower(), 1080)
        found: list[str | None] = []

        def connect() -> None:
            try:
                socket.create_connection((first.hostname, port), CONNECT_S).close()
                found.append(None)
            except (OSError, UnicodeError) as error:  # the second: a name that no host has
                found.append(str(error))

        # In a thread, as no limit of time ends the search for a name
        thread = threading.Thread(target=connect, daemon=True)
        thread.start()
        thread.join(CONNECT_S)
        why = found[0] if found else f"no connection within {CONNECT_S:g} s"
        return why and self._missed(Trouble.UNREACHED, why).message

    def _late(self) -> Missed:
        return self._missed(Trouble.LATE, f"no complete answer within {self.timeout:g} s", "")

    def _missed(self, trouble: Trouble, why: str, begin: str = "connection failed: ") -> Missed:
        through = f", through the proxy {self.proxy.shown}" if self.proxy else ""
        return Missed(trouble, f"{begin}{why}{through}")

    def _unconnected(self, error: httpx2.ConnectError) -> Missed:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, ssl.SSLError):
            cause = cause.__cause__ or cause.__context__
        if isinstance(cause, ssl.SSLCertVerificationError):
            return self._missed(
                Trouble.BARRED,
                f"its certificate is not trusted ({cause.verify_message}); where a company or "
                "the server itself signs, name the file of that authority in SSL_CERT_FILE",
            )
        if isinstance(cause, ssl.SSLError):
            return self._missed(
                Trouble.BARRED, f"no TLS ({cause.reason or cause}); does the server speak http://?"
            )
        return self._missed(Trouble.UNREACHED, str(error.__cause__ or error))
