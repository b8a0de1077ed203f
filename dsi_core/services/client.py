"""An HTTP client of one service that brings nothing from the environment.

What reaches a service is what the command line names: address, key, body.
"""

import io
import json
import logging
import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, BinaryIO
from urllib.parse import unquote, unquote_plus, urlsplit

import httpx2

from dsi_core.services.address import CHAT, PORTS, address, basic, headers, key, login
from dsi_core.services.deadline import punctual, until
from dsi_core.services.network import certificates, proxy
from dsi_core.settings.schema import Endpoint

BODY_BYTES = 2**25  # a reply beyond this is not read to its end: it counts as a failed request
PACKED = "gzip"  # how replies may be packed; twice, a few bytes are hours of unpacking
UNPACKED = 2**20  # of these bytes at a time
CONNECT_S = 10.0  # seconds in which a host must be found and take a connection
PLAIN = re.compile(r"[\d.-]{1,10}|.{1,2}")  # in a query no secret


def json_of(body: dict[str, Any]) -> dict[str, Any]:
    """Give the content of a request, and the header that goes with it.

    In ASCII: half a surrogate pair, which a prompt may hold, has no UTF-8.
    """
    return {
        "content": json.dumps(body).encode(),
        "headers": {"Content-Type": "application/json"},
    }


class Trouble(StrEnum):
    """Why no reply came."""

    LATE = "late"  # it took too long
    LOST = "lost"  # the connection ended before the reply did
    UNREACHED = "unreached"  # there is no connection
    BARRED = "barred"  # a certificate or a proxy is in the way: trying again does not help
    BOUNDLESS = "boundless"  # a reply without end, or packed so that it may be one


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
        if self.address.login and self.key:
            raise ValueError(
                f"the URL of {self.address.base} holds a login, and --key-env names a key: "
                "give one of them"
            )
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
        limits = httpx2.Limits(max_connections=None)
        transport = httpx2.HTTPTransport(trusted, trust_env=False, limits=limits, proxy=way)
        self._http = httpx2.Client(
            headers={**headers(self.address, self.key), "Accept-Encoding": PACKED},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            follow_redirects=False,  # a key goes nowhere but where it was sent
            trust_env=False,
            transport=punctual(transport),
        )

    def close(self) -> None:
        """End its connections."""
        self._http.close()

    def secrets(self) -> list[str]:
        """Give what no message may show, in every form that it may be met in; longest first.

        The key; a query's values, with or without a name; logins, and of each the password and a
        name that is longer, which may be a token. No numbers, dates or single letters of a query:
        answers are full of them, and would lose them.
        """
        proxys = login(self.proxy.url) if self.proxy else ""
        sent = httpx2.URL(self.address.of("")).query.decode()
        pairs = [pair.partition("=") for pair in f"{self.address.query}&{sent}".split("&")]
        pairs = [pair for pair in pairs if pair[0].lower() != "api-version"]
        found = {value if joint else name for name, joint, value in pairs}
        found = {self.key, *(one for one in found if not PLAIN.fullmatch(one))}
        for one in {self.address.login, proxys} - {""}:
            name, _, password = one.partition(":")
            found |= {one, basic(one), password, name if len(name) > len(password) else ""}
        forms = {form(one) for one in found for form in (str, unquote, unquote_plus)}
        return sorted(forms - {""}, key=len, reverse=True)

    def post(self, body: dict) -> Received | Missed:
        """Put one question."""
        return self.send("POST", CHAT, **json_of(body))

    def send(
        self,
        method: str,
        path: str,
        *,
        most: int | None = None,
        into: BinaryIO | None = None,
        **what: Any,
    ) -> Received | Missed:
        """Send one request and read its reply piece by piece, within the time limit as a whole.

        Parameters
        ----------
        most
            Bytes of a reply that is no error, as sent and unpacked; None = `BODY_BYTES`.
        into
            A file that gets only such a reply, whose `raw` is empty then.
        what
            As httpx has it: content, headers, files, data.
        """
        begun, memory, size = time.monotonic(), io.BytesIO(), 0
        end, url = begun + self.timeout, self.address.of(path)
        limits = until(end, connected=begun + CONNECT_S)
        try:
            with self._http.stream(method, url, timeout=limits, **what) as response:
                packed = response.headers.get("Content-Encoding", "").strip().lower()
                if packed not in ("", "identity", PACKED):
                    why = f"only {PACKED} was asked for, and the answer is packed as {packed}"
                    return Missed(Trouble.BOUNDLESS, why)
                good = response.status_code < 300
                most = most if most and good else BODY_BYTES
                kept = into if into and good else memory
                kept.truncate(kept.seek(0))  # of another try
                for piece in _unpacked(response, packed == PACKED):
                    size += kept.write(piece)
                    if max(size, response.num_bytes_downloaded) > most:
                        return Missed(Trouble.BOUNDLESS, f"an answer of more than {most} bytes")
                    if time.monotonic() > end:
                        return self._late()
        except httpx2.ConnectTimeout:
            waited = min(CONNECT_S, self.timeout)
            return self._missed(Trouble.UNREACHED, f"no connection within {waited:g} s")
        except httpx2.TimeoutException:
            return self._late()
        except httpx2.ProxyError as error:
            final = re.match(r"4\d\d", str(error))
            return self._missed(Trouble.BARRED if final else Trouble.UNREACHED, str(error))
        except httpx2.ConnectError as error:
            return self._unconnected(error)
        except zlib.error as error:
            why = f"the answer is said to be packed as {PACKED} and cannot be unpacked: {error}"
            return self._missed(Trouble.LOST, why, "")
        except (httpx2.RequestError, httpx2.StreamError) as error:
            return self._missed(Trouble.LOST, str(error.__cause__ or error))
        return Received(response.status_code, response.headers, memory.getvalue())

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


def _unpacked(response: httpx2.Response, packed: bool) -> Iterator[bytes]:
    """The body of a reply, a piece for each that comes, though there may be nothing in it."""
    if not packed:
        yield from response.iter_raw()
        return
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)  # of gzip
    for piece in response.iter_raw():
        while not unpack.eof and (part := unpack.decompress(piece, UNPACKED)):
            yield part
            piece = unpack.unconsumed_tail
        yield b""
