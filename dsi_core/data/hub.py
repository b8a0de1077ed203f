"""Datasets of the Hugging Face hub."""

from typing import TYPE_CHECKING

from dsi_core.runtime import hub
from dsi_core.runtime.environment import one_line
from dsi_core.settings.schema import Data

if TYPE_CHECKING:
    from datasets import Dataset


def rows(source: Data) -> "Dataset":
    """Read the rows of a hub dataset, from the hub's cache where they are there.

    Raises
    ------
    ValueError
        In one line, for a dataset, configuration, split or revision that is not there or not open
        to this account, and without a network.
    """
    import datasets
    from huggingface_hub import constants

    assert source.hub is not None, "asked for a hub dataset only"
    datasets.disable_progress_bars()
    try:
        with hub.cache_alone_if_unreachable():
            datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE
            return datasets.load_dataset(
                source.hub, source.config, split=source.split, revision=source.revision
            )
    except Exception as error:  # of five libraries: datasets, the hub's, fsspec, httpx, Arrow
        raise ValueError(_said(source, error)) from error


def _said(source: Data, error: Exception) -> str:
    """What went wrong, with the option that helps."""
    why = one_line(error)
    of = [f"--config {source.config}"] if source.config else []
    of += [f"--split {source.split}"]
    of += [f"--revision {source.revision}"] if source.revision else []
    here = f"hub:{source.hub} ({', '.join(of)})"
    kinds = hub.kinds(error)
    if "Config name is missing" in why or "BuilderConfig" in why:
        return f"{here}: {why}: name one with --config"
    if "GatedRepoError" in kinds or "gated" in why:
        return f"{here}: it is gated: {hub.TO_DO[hub.Access.NO_TOKEN]}"
    if kinds & hub.OUT_OF_REACH:
        return (
            f"{here}: the hub cannot be reached and its files are not in the cache here ({why}); "
            "download it where there is a network, and give the file"
        )
    if "split" in why.lower():
        return f"{here}: {why}: name one with --split"
    return f"{here}: cannot be read: {why}"
