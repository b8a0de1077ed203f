"""The suspect of an audit: an API, a model's folder or a hub id; and of what kind its answers are."""

import re
from pathlib import Path

from dsi_core.runtime import store
from dsi_core.settings.schema import Endpoint, Model

STATUSES = {  # what became of a question; only "answered" can be evidence
    "answered": "a text of its own",
    "short": "under mu bytes (§5.3)",
    "empty": "no text",
    "refused": "marked as a refusal by the service, or worded as one where the oracle's is not",
    "filtered": "withheld by the service's content filter",
    "truncated": "cut by the service before the length that is compared",
}
_REFUSAL = re.compile(
    r"\W*(as an? (ai|artificial intelligence|language model)\b"
    r"|((i am|i'm) ((very|so|really|truly) )?sorry|sorry|my apologies|(i )?apologi[sz]e|unfortunately)?\W*(but )?(i|we)( am|'m| are|'re)? "
    r"(can't|cannot|can not|could not|couldn't|won't|will not|unable to|not able to|not allowed to|not permitted to|must decline to|decline to|refuse to) "
    r"(really |directly )?(help|assist|provide|answer|comply|share|discuss|fulfil|engage|generate|create|give|offer|do that|do this|respond"
    r"|continue|support|complete|process|write|produce))",
    re.I,
)


def refuses(text: str) -> bool:
    """Whether a text opens as assistants decline: an apology or not, and "I cannot help", "as an AI ..."."""
    return bool(_REFUSAL.match(text.replace("’", "'")))


def status(
    text: str,
    oracle: str,
    mu: int,
    finish: str = "",
    refused: bool = False,
    tokens: int = 0,
    limit: int = 0,
) -> str:
    """One of `STATUSES` for an answer. oracle: D's own output, so that data made of refusals is not taken for them.

    finish: the service's reason to end; tokens: new ones by its count, 0 if it keeps none; limit: how many were allowed. An answer
    that ran into our limit is as long as the references' may be and counts; one that the service ended sooner for its length does
    not. Without a count, "sooner" is under two bytes for each token allowed, half of what a token usually holds.
    """
    if finish == "content_filter":
        return "filtered"
    if refused or (refuses(text) and not refuses(oracle)):
        return "refused"
    if not text:
        return "empty"
    if finish == "length" and (tokens or len(text.encode()) / 2) < limit:
        return "truncated"
    return "short" if len(text.encode()) < mu else "answered"


def model(
    given: str | None,
    *,
    base_url: str | None = None,
    name: str | None = None,
    key_env: str | None = None,
    trust_remote_code: bool = False,
    **endpoint,
) -> tuple[str, Model]:
    """(a short name, where the suspect is). Either `base_url` and the server's `name` of the model (endpoint: more fields of
    `settings.Endpoint`), or `given`, a folder or a hub id. Raises `ValueError` for anything else.
    """
    if (base_url is None) == (given is None):
        raise ValueError(
            "a suspect is either --base-url with --model, or --suspect: a folder or a hub id"
        )
    if base_url is not None:
        if not name:
            raise ValueError(
                f"--base-url {base_url} needs --model: the name by which the server knows the model"
            )
        return Path(name).name, Model(
            endpoint=Endpoint(base_url=base_url, model=name, key_env=key_env, **endpoint)
        )
    folder = Path(given)
    if (folder / "config.json").is_file() or (folder / "adapter_config.json").is_file():
        files = sorted(
            (f.name, f.stat().st_size, f.stat().st_mtime_ns)
            for f in folder.iterdir()
            if f.is_file()
        )
        return folder.resolve().name, Model(
            path=str(folder.resolve()), revision=store.key(files)
        )  # other weights, another audit
    if folder.exists() or not re.fullmatch(r"[\w.-]+/[\w.-]+", given):
        raise ValueError(
            f"--suspect {given!r} is neither a folder with a config.json (or adapter_config.json), nor a hub id like owner/name"
        )
    return folder.name, Model(hub=given, trust_remote_code=trust_remote_code)
