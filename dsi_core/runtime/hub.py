"""The Hugging Face hub: whether it can be reached, and whether this account may read a model."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from enum import StrEnum

ASKED_AT_ONCE = 8
SECONDS = 5.0  # in which the hub must answer, before its files are looked for in the cache alone
OUT_OF_REACH = {"ConnectionError", "ConnectError", "TimeoutException", "OfflineModeIsEnabled"}


@contextmanager
def cache_alone_if_unreachable() -> Iterator[None]:
    """Without this, a machine without a network waits half a minute for each repository."""
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


class Way(StrEnum):
    """How this machine gets to the hub."""

    REACHED = "reached"
    NOT_REACHED = "not reached"
    OFFLINE = "offline"  # by $HF_HUB_OFFLINE
    NOT_INSTALLED = "not installed"


def way() -> Way:
    """Try this machine's way to the hub."""
    try:
        from huggingface_hub import constants
    except ModuleNotFoundError:
        return Way.NOT_INSTALLED
    if constants.HF_HUB_OFFLINE:
        return Way.OFFLINE
    return Way.REACHED if reachable(constants.ENDPOINT) else Way.NOT_REACHED


class Access(StrEnum):
    """Whether a model can be fetched."""

    CACHED = "cached"  # it is here
    OPEN = "open"
    ACCEPTED = "gated, accepted"
    NOT_ACCEPTED = "gated, not accepted"
    NO_TOKEN = "gated, no token"
    MISSING = "not on the hub"
    UNKNOWN = "not known"  # the hub did not answer


TO_DO = {  # about those that cannot be fetched
    Access.NOT_ACCEPTED: "accept the licence on its page, with the account of the token",
    Access.NO_TOKEN: "accept the licence on its page, then `hf auth login`, or set $HF_TOKEN",
    Access.MISSING: "check the name (owner/name); what is private needs a token that may read it "
    "($HF_TOKEN)",
    Access.UNKNOWN: "fetch what the cache lacks where the hub answers (`hf download`), and copy "
    "$HF_HOME",
}


def access(models: Mapping[str, str | None]) -> dict[str, Access]:
    """Ask the hub for each model whether it lets this machine fetch it; few seconds for many.

    Models in the cache are not asked about. If the hub cannot be asked, the others are UNKNOWN.

    models: ids, each with its revision; None = main.
    """
    there = way() if models else Way.OFFLINE
    if there is Way.NOT_INSTALLED:
        return dict.fromkeys(models, Access.UNKNOWN)
    asked = [model for model, revision in models.items() if not is_cached(model, revision)]
    found = dict.fromkeys(models, Access.CACHED) | dict.fromkeys(asked, Access.UNKNOWN)
    if there is Way.REACHED:
        with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
            found |= dict(zip(asked, pool.map(_access, asked), strict=True))
    return found


def is_cached(model: str, revision: str | None, file: str = "config.json") -> bool:
    """Tell whether a file of a model is in the hub's cache here."""
    from huggingface_hub import try_to_load_from_cache

    with suppress(ValueError):  # an id that is none
        return isinstance(try_to_load_from_cache(model, file, revision=revision), str)
    return False


def _access(model: str) -> Access:
    from huggingface_hub import HfApi, constants, errors, get_token

    hub = HfApi(endpoint=constants.ENDPOINT)
    try:
        if not hub.model_info(model, expand=["gated"], timeout=SECONDS).gated:
            return Access.OPEN
        hub.auth_check(model)
    except errors.GatedRepoError:
        return Access.NOT_ACCEPTED if get_token() else Access.NO_TOKEN
    except errors.RepositoryNotFoundError:
        return Access.MISSING
    except Exception:  # whatever is in the way
        return Access.UNKNOWN
    return Access.ACCEPTED


def kinds(error: BaseException) -> set[str]:
    """Give the names of the classes of an error and of its causes."""
    causes = (error, error.__cause__, error.__context__)
    return {kind.__name__ for cause in causes for kind in type(cause).__mro__}
