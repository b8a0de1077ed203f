"""Every figure of a test is drawn, and then closed."""

import matplotlib.pyplot as plt
import pytest


@pytest.fixture(autouse=True)
def drawn():
    """Every figure of a test is rendered, so that what only fails at drawing fails."""
    yield
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()
    plt.close("all")
