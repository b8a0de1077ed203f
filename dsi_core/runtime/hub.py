"""The Hugging Face hub: whether it can be reached at all is found out at once."""

from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 5.0  # in which the hub must answer, before its files are looked for in the cache alone
OUT_OF_REACH = {"ConnectionError", "ConnectError", "TimeoutException", "OfflineModeIsEnabled"}


@contextmanager
def cache_alone_if_unreachable() -> Iterator[None]:
    """Without it, a machine without a network waits half a minute for each repository."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    try:
        if not before and not reachable(constants.ENDPOINT):
            constants.HF_HUB_OFFLINE = True
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def reachable(endpoint: str) -> bool:
    """Tell whether the hub answers within `SECONDS`."""
    from huggingface_hub.utils import get_session

    try:
        get_session().head(endpoint, timeout=SECONDS)
    except Exception:  # whatever is in the way
        return False
    return True


def kinds(error: BaseException) -> set[str]:
    """Give the names of an error's classes, and of those of what it came from."""
    causes = (error, error.__cause__, error.__context__)
    return {kind.__name__ for cause in causes for kind in type(cause).__mro__}
