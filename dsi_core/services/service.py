"""A service as one run knows it: the way there, its pace, and what its replies taught."""

import json
import threading
import warnings
from pathlib import Path

from dsi_core.runtime import disk
from dsi_core.services.client import Client
from dsi_core.services.pace import Pace
from dsi_core.services.request import Taken
from dsi_core.settings.schema import Endpoint

NAME = "service.json"  # what a service taught, in the folder of its answers
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

    def shown(self, text: str) -> str:
        """Give one printable line of a server's message without anything secret."""
        return _excerpt(text, self.client.secrets())


def remembered(folder: Path | None) -> Taken:
    """Read what a service taught in earlier runs; where nothing can be read it teaches anew."""
    if folder is None:
        return Taken()
    try:
        known = json.loads((folder / NAME).read_text(encoding="utf-8"))
        return Taken(**{k: v for k, v in known.items() if k not in ("api", "model")})
    except (OSError, ValueError, TypeError, AttributeError):
        return Taken()


def _excerpt(text: str, secrets: list[str]) -> str:
    """One printable line of a server's message without what is secret.

    It goes before the cut: half a key is too much.
    """
    for secret in secrets:
        for form in {secret, json.dumps(secret)[1:-1], secret.replace("/", "\\/")}:
            text = text.replace(form, "[key]")
    text = "".join(c if c.isprintable() else " " for c in text[: 20 * EXCERPT])
    return " ".join(text.split())[:EXCERPT]
