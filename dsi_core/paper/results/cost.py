"""Numbers of §6.5 and of the benchmark: what a study costs, and ours against the stock way."""

from dsi_core.paper.results.claims import Read
from dsi_core.paper.results.said import Numbers, span


def cost(read: Read) -> Numbers:
    """§6.5, Table 9: minutes of one worker."""
    table = read("table9_time")
    return {
        "offline": f"{span(60 * table['offline_hours'], '.1f')} min",
        "online": f"{span(60 * table['online_hours'], '.2f')} min",
        "percent": f"{span(table['online_percent'], '.1f')}%",
    }


def speed(read: Read) -> Numbers:
    """Ours against the stock way on one machine: `dsi bench`."""
    bench = read("bench")
    ratios = bench.set_index(["what", "model"])["ratio"]
    kinds = {
        "tuning": "tuning: default SFTTrainer",
        "batch": "generation: pipeline, batch 8",
        "alone": "generation: pipeline, batch 1",
    }
    similarity = bench.loc[bench["what"].str.startswith("similarity"), "ratio"].iloc[0]
    peak = bench["share_of_peak"]
    missed = bench[bench["ratio"] < bench["target"]]
    return {
        **{
            key: {model: f"{ratios[what, model]:.1f}" for model in ("smollm2", "gemma3")}
            for key, what in kinds.items()
        },
        "similarity": f"{similarity:.1f}",
        "cores": f"{ratios['cores: two processes against one', 'smollm2']:.1f}",
        "missed": "; ".join(
            f"{row.what}, {row.model}, {row.ratio:.1f} of {row.target:g}"
            for row in missed.itertuples()
        )
        or "none",
        "peak": f"{peak.min():.2f}-{peak.max():.2f}",
    }
