"""What the paper prints, summed."""

from dsi_core.paper.results.printed import the_papers


def test_the_papers_counts_are_sums_over_its_groups():
    """Tables 6 and 8: ten local and ten wild members, twenty wild non-members, on each set."""
    paper = the_papers()
    assert paper["table6"] == "members 20/20, non-members 20/20"
    assert paper["table8"] == "members 0/20, non-members 20/20"
    assert paper["copies_after"] == "1,490 of 9,157"  # 151 + 180 + 869 + 290
