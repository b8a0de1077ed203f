"""What the paper prints, to be shown beside ours: `params/reported.yaml`."""

import pandas as pd

from dsi_core.runtime.paths import ROOT
from dsi_core.settings.profile import read_yaml

FILE = ROOT / "params" / "reported.yaml"


def reported(item: str, part: str = "rows") -> pd.DataFrame:
    """Read the paper's numbers of one item ("table6"), with a column source.

    part: "rows", or another list of the item, such as the "scores" of Table 6.
    """
    entry = read_yaml(FILE)[item]
    return pd.DataFrame(entry[part]).assign(source=entry["source"])
