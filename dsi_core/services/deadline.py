"""A deadline for a whole request, whatever the other side sends, and however slowly.

The HTTP library's timeouts restart with every byte, so a slow trickle never times out. It hands
them on to the network without looking at them; so here a timeout is a deadline of
`time.monotonic()`, and when it passes, any wait for the network raises the library's own timeout
error. Within TLS in TLS, behind a proxy that speaks TLS, the library waits for whole records: there
each piece of a record has the time that was left.
"""

import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore2
import httpx2

PIECE = 2**14  # bytes that are written before the clock is looked at again


def punctual(transport: httpx2.HTTPTransport) -> httpx2.HTTPTransport:
    """Give a transport that takes its timeouts as deadlines: those of `until`, no others.

    With proxies and TLS as it had them. `httpx2` has no parameter for what is below it.
    """
    pool = transport._pool
    pool._network_backend = _Network(pool._network_backend)
    return transport


def until(moment: float, connected: float) -> httpx2.Timeout:
    """Give the deadlines of a request and of its connection.

    There is nothing else to wait for: a pool without a limit has a place at once.
    """
    return httpx2.Timeout(moment, connect=min(connected, moment))


def _left(moment: float | None, late: type[httpcore2.TimeoutException]) -> float | None:
    """Give the seconds until a moment; None = none was set. Raises `late` where it is over."""
    if moment is None:
        return None
    if (left := moment - time.monotonic()) <= 0:
        raise late("late")
    return left


class _Network(httpcore2.NetworkBackend):
    """The library's own network, asked with what is left of the time."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        left = _left(timeout, httpcore2.ConnectTimeout)
        return _Stream(self.inner.connect_tcp(host, port, left, local_address, socket_options))


class _Stream(httpcore2.NetworkStream):
    """A connection of that network."""

    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self.inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.inner.read(max_bytes, _left(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for begin in range(0, len(buffer), PIECE):
            left = _left(timeout, httpcore2.WriteTimeout)
            self.inner.write(buffer[begin : begin + PIECE], left)

    def close(self) -> None:
        self.inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        left = _left(timeout, httpcore2.ConnectTimeout)
        return _Stream(self.inner.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self.inner.get_extra_info(info)
