"""Where a service is and who asks: its URL in one spelling, and the key from the environment."""

import os
import re
from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from dsi_core.settings.schema import Endpoint

CHAT = "/chat/completions"
PORTS = {"http": 80, "https": 443}
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
    def azure(self) -> bool:
        """Whether it is Azure's, which differs in headers and paths."""
        return (urlsplit(self.base).hostname or "").endswith(AZURE)

    @property
    def likely(self) -> str | None:
        """What was probably meant, if nothing answers here; None = no guess."""
        parts = urlsplit(self.base)
        root = f"{parts.scheme}://{parts.netloc}"
        if not self.azure and re.search(r"/v\d", parts.path):
            return None
        path = "/openai/v1" if self.azure else ROOTS.get(parts.hostname or "")
        if path is None:
            path = re.sub(r"/(api|chat|completions?|generate|models)$", "", parts.path) + "/v1"
        return root + path if root + path != self.base else None


def without_login(url: str) -> str:
    """Give a URL as it may be shown, even a wrong one: without all up to the last "@"."""
    return re.sub(r"^([a-z][\w+.-]*://)?.*@", r"\1", url, flags=re.IGNORECASE | re.DOTALL)


def address(url: str) -> Address:
    """Read a base URL, however it is written.

    Blanks around it, a slash behind, a scheme or host in capitals, the scheme's own port, a doubled
    /v1 and what belongs to a single call (/chat/completions, /models) are taken off.

    Raises
    ------
    ValueError
        If it is not a URL; the message shows nothing that may be secret in it.
    """
    given = "".join(url.split())
    plain = without_login(given).split("?")[0]
    hidden = re.search(r"\?.*@", given)  # in a login or in the query: which part is secret?
    shown = "(not shown: it holds a login or a query)" if hidden else repr(plain)
    wrong = f"base_url {shown} is not of the form https://host/v1"
    if not re.match(r"https?://[^/?#]", given, re.IGNORECASE):
        named = re.match(r"[\w.-]+(:\d+)?(/|$)", given)
        scheme = "http" if re.match(r"localhost|[\d.]+[:/]", given) else "https"
        hint = f"; is it {scheme}://{plain}?" if named and not hidden else ""
        raise ValueError(wrong + hint)
    try:
        parts = urlsplit(given)
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
    place = f"{parts.scheme}://{host}" + (f":{port}" if port else "")
    return Address(place + path, parts.query, login(given))


def login(url: str) -> str:
    """Give the login in a URL as "name:password", or "" for none."""
    parts = urlsplit(url)
    if parts.username is None:
        return ""
    return f"{unquote(parts.username)}:{unquote(parts.password or '')}"


def basic(login: str) -> str:
    """Give a login as a header carries it."""
    return b64encode(login.encode()).decode()


def place(endpoint: Endpoint) -> str:
    """Give the service's URL in its one spelling, without what may be secret in it."""
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
    azure = where.azure or "/deployments/" in where.base
    if where.login:
        said["Authorization"] = f"Basic {basic(where.login)}"
    elif key and not (azure and not key.startswith("eyJ")):  # such is a token of Entra
        said["Authorization"] = f"Bearer {key}"
    if key and azure and "Authorization" not in said:
        said["api-key"] = key
    return said
