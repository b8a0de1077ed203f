"""Measurements by hand, and what the pipeline's tokens hold. Never a speed."""

import pytest

from dsi_core.benchmarks import stock
from dsi_core.benchmarks.stock import Products


def test_rates_by_hand():
    measured = Products(done=10.0, seconds=4.0, flop=6e9)
    assert (measured.per_second, measured.gflops) == (2.5, 1.5)
    assert Products(done=10.0, seconds=4.0).gflops is None


def test_a_product_of_two_matrices(monkeypatch):
    """2 x 1024^3 operations."""
    monkeypatch.setattr(stock, "product_flops", lambda dtype: 4e9)
    product = stock.matrix_product("fp32")
    assert product.done == pytest.approx(2.147483648)
    assert [product.gflops, product.per_second] == pytest.approx([4, 4])


@pytest.mark.parametrize(
    "ids, new",
    [
        # padding before, an end token and padding after
        ([0, 0, 5, 6, 7, 8, 9, 2, 0, 0], [8, 9, 2]),
        # nothing before; what follows the end does not count
        ([5, 6, 7, 8, 2, 9, 9], [8, 2]),
        # cut at the limit: no end token
        ([0, 5, 6, 7, 8, 9, 9], [8, 9, 9]),
        ([0, 5, 6, 7, 2], [2]),
    ],
)
def test_new_tokens_without_padding(ids, new):
    assert stock.new_tokens(ids, [5, 6, 7], pad=0, ends=[2, 3]) == new


def test_new_tokens_where_the_prompt_begins_with_the_padding_token():
    assert stock.new_tokens([0, 0, 5, 8, 0], [0, 5], pad=0, ends=[0]) == [8, 0]
