"""What lies between: the proxy on the way to a service, and the certificates that are trusted.

The environment may name both; a proxy's credentials go to the proxy alone.
"""

import ipaddress
import os
import re
import ssl
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2

from dsi_core.services.address import Address, without_login

BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR")


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
        Its URL, "none", or None = the environment's, but no proxy to this machine.

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
    shown = f"{without_login(url).rstrip('/')} ({by})"
    if not re.match(r"(https?|socks5h?)://[^/]", url, re.IGNORECASE):
        raise ValueError(
            f"the proxy {shown} is not http, https, socks5 or socks5h; or --proxy none"
        )
    try:
        port = urlsplit(url).port
        bare = wanted is not None and "://" not in found and port is None  # a word says nothing
    except ValueError:
        bare = True
    if bare:
        raise ValueError(f"the proxy {shown} is not of the form http://host:port; or --proxy none")
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
