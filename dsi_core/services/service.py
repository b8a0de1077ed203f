"""A service as one run knows it: the way there, its pace, and what its replies taught."""

import json
import re
import threading
import warnings
from functools import partial
from pathlib import Path

from dsi_core.runtime import disk
from dsi_core.runtime.environment import one_line
from dsi_core.services import reply
from dsi_core.services.client import Client
from dsi_core.services.pace import Pace
from dsi_core.services.reply import Failure, Reply
from dsi_core.services.request import Taken
from dsi_core.settings.schema import Endpoint

NAME = "service.json"  # what a service taught, in the folder of its answers
A_KEY = 8  # characters that a secret has at least, if no word of an answer can be one
EXCERPT = 300  # characters of a server's message that an error quotes


class Service:
    """A service as one run knows it: the way there, its pace, what it takes. Close it.

    Parameters
    ----------
    memory
        A folder that keeps what it takes for later runs; None = nobody does.

    Raises
    ------
    ValueError
        If the key, the URL or the way there is unusable. Nothing is sent yet.
    """

    def __init__(self, endpoint: Endpoint, memory: Path | None = None) -> None:
        self.endpoint = endpoint
        self.client = Client(endpoint)
        self.pace = Pace(endpoint.concurrency)
        self.memory = memory
        self.taken = remembered(memory)
        self.proven = False  # in this run
        self.never = threading.Event()  # for waits that nothing but Ctrl-C ends
        self._known = self.taken  # what is written and was told
        self._guard = threading.Lock()

    def __enter__(self) -> "Service":
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.client.close()

    def learn(self, taken: Taken) -> None:
        """Take it that a service answered to requests made this way, and tell what is new."""
        with self._guard:
            before, self.proven = self.proven, True
            # Sent before others learnt more
            late = before and taken.differences != self.taken.differences
            if late or taken == self._known:
                return
            new = [one for one in taken.differences if one not in self._known.differences]
            self.taken = self._known = taken
            if self.memory is not None:
                said = {"api": self.client.address.base, "model": self.endpoint.model}
                text = json.dumps({**said, **taken.model_dump()}, indent=2) + "\n"
                disk.write_text(self.memory / NAME, text)
        for difference in new:
            warnings.warn(f"{self.name}: {difference}", stacklevel=3)

    @property
    def name(self) -> str:
        """Model and place, as messages name them."""
        return f"{self.endpoint.model} at {self.client.address.base}"

    def read(self, raw: bytes, tokens: int) -> Reply | Failure:
        """Read its reply to one request, of which so many tokens are compared.

        Secrets are hidden in all that is kept of an answer, as some services repeat the key. Keys
        as short as a word are not hidden: a server that needs no key is given "none" or "test".
        """
        hidden = partial(self.hidden, least=A_KEY)
        return reply.read(raw, tokens, self.endpoint.reasoning_tokens, hidden)

    def hidden(self, text: str, least: int = 1) -> str:
        """Give a text with "[key]" in the place of what is secret and has so many characters."""
        return _without(text, [one for one in self.client.secrets() if len(one) >= least])

    def shown(self, text: str) -> str:
        """Give one printable line of a server's message without anything secret."""
        text = self.hidden(text)  # before the cut: half a key is too much
        text = "".join(c if c.isprintable() else " " for c in text[: 20 * EXCERPT])
        return one_line(text, EXCERPT)


def remembered(folder: Path | None) -> Taken:
    """Read what a service taught in earlier runs; if nothing can be read, it is learnt anew."""
    if folder is None:
        return Taken()
    try:
        known = json.loads((folder / NAME).read_text(encoding="utf-8"))
        return Taken(**{k: v for k, v in known.items() if k not in ("api", "model")})
    except (OSError, ValueError, TypeError, AttributeError):
        return Taken()


def _without(text: str, secrets: list[str]) -> str:
    """A text without secrets, as they are or as JSON writes them; at once, the longest first."""
    ways = [(one, json.dumps(one)[1:-1], one.replace("/", "\\/")) for one in secrets]
    forms = sorted({form for way in ways for form in way}, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, forms)), "[key]", text) if forms else text
