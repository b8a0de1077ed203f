"""What README, pyproject, constraints, environment.yml and notebooks say about each other is true."""

import re
import subprocess
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FIXED = [
    "jupyterlab",
    "papermill",
    "transformers",
    "peft",
    "bitsandbytes",
    "bert-score",
    "matplotlib",
    "seaborn",
    "pandas",
    "ipywidgets",
]


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins():
    lines = [
        line.split("#")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines()
    ]
    return {plain(name): version for name, version in (line.split("==") for line in lines if line)}


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_every_dependency_is_pinned_once_in_constraints():
    wanted = project()["dependencies"] + project()["optional-dependencies"]["test"]
    assert all(re.fullmatch(r"[\w-]+", name) for name in wanted), (
        "versions belong to constraints.txt"
    )
    assert {plain(n) for n in wanted} <= set(pins())
    assert {plain(n) for n in FIXED} <= {plain(n) for n in wanted}
    assert pins()["torch"] == "2.13.0"


def test_environment_yml_takes_the_same_versions():
    pip = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"][-1]["pip"]
    assert pip == ["-c constraints.txt", "-e .[all]"]


def test_installed_versions_are_the_pinned_ones():
    from importlib.metadata import version

    for name in project()["dependencies"]:
        assert version(name).split("+")[0] == pins()[plain(name)], name


def test_readme_tree_is_the_tree_on_disk():
    tree = (ROOT / "README.md").read_text().split("```text")[1].split("```")[0]
    named = set(re.findall(r"^\s*([\w./-]+\.\w+|\.ci/run|Makefile|LICENSE)\s", tree, re.M))
    tracked = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True
    ).stdout.split()
    kept = {
        Path(f).name
        for f in tracked
        if f.startswith(("dsi_core/", "notebooks/", "params/")) and f.count("/") == 1
    }
    assert kept - {"__init__.py"} <= {Path(n).name for n in named}, kept - named
    for name in named:
        assert (ROOT / name).exists() or any(p.name == Path(name).name for p in ROOT.glob("*/*")), (
            name
        )


def test_readme_links_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text()):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_every_table_and_figure_of_the_paper_has_its_row():
    rows = "\n".join(re.findall(r"^\| (?:Table|Fig\.).*$", (ROOT / "README.md").read_text(), re.M))
    named = {
        (kind, int(n))
        for kind, first, last in re.findall(r"(Table|Fig\.|Tables|Figures) (\d+)(?:-(\d+))?", rows)
        for n in range(int(first), int(last or first) + 1)
    }
    assert {("Table", n) for n in range(1, 11)} <= named and {
        ("Fig.", n) for n in range(2, 13)
    } <= named


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_notebooks_are_pages(path):
    code = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert sum("parameters" in c.metadata.get("tags", []) for c in code) == 1
    assert len(code) <= 15 and all(len(c.source.splitlines()) <= 15 for c in code)
    assert not any(re.search(r"^\s*(def|class|for|while)\s", c.source, re.M) for c in code)
    assert not any(c.outputs or c.execution_count for c in code)


def test_committed_figures_match_their_manifest():
    import hashlib
    import json

    for path in (ROOT / "figures").glob("*/manifest.json"):
        files = json.loads(path.read_text())["files"]
        on_disk = {f.name for f in path.parent.iterdir() if f.suffix in (".png", ".pdf", ".csv")}
        assert on_disk == set(files), path
        for name, facts in files.items():
            assert (
                hashlib.sha256((path.parent / name).read_bytes()).hexdigest() == facts["sha256"]
            ), name


def test_readmes_verdicts_are_those_of_the_committed_table():
    import pandas as pd

    table = pd.read_csv(ROOT / "figures" / "small" / "sec6_2_verdicts.csv").set_index("suspect")
    rows = re.findall(
        r"^\| ([\w-]+) \| (?:non-)?member[^|]*\| (\d+) \| (\d+) \| ([\w-]+) \| (right|\*\*wrong\*\*) \|$",
        (ROOT / "README.md").read_text(),
        re.M,
    )
    assert {r[0] for r in rows} == set(table.index)
    for suspect, positive, negative, verdict, right in rows:
        row = table.loc[suspect]
        assert (int(positive), int(negative), verdict, right == "right") == (
            row["positive"],
            row["negative"],
            row["verdict"],
            row["correct"],
        )
    table6 = pd.read_csv(ROOT / "figures" / "small" / "table6_non_iid.csv")
    for method, part in table6.groupby("method"):
        said = "; ".join(
            [
                ", ".join(
                    f"{g.removeprefix('local ')} {c}/{n}"
                    for g, c, n in part[["group", "correct", "total"]].values
                ),
                "recall {recall:g}, precision {precision:g}, F1 {f1:g}".format(**part.iloc[0]),
            ]
        )
        assert said in (ROOT / "README.md").read_text(), (method, said)


def test_readmes_paper_numbers_are_the_reported_ones():
    from dsi_core.paper import tables

    readme, one, two = (
        (ROOT / "README.md").read_text(),
        tables.reported("table1"),
        tables.reported("table2"),
    )
    assert f"{one['tainted'].sum():,} of {one['total'].sum():,}" in readme
    assert f"{two['tainted'].sum():,} of {two['total'].sum():,}" in readme
    for item, said in (
        ("table6", "members 20/20, non-members 20/20"),
        ("table8", "members 0/20, non-members 20/20"),
    ):
        rows = (
            tables.reported(item)
            .query("method == 'dataset inference'")
            .assign(member=lambda t: ~t["group"].str.contains("non-"))
        )
        sums = rows.groupby(["dataset", "member"])[["correct", "total"]].sum()
        found = {
            tuple(sums.xs(m, level="member").drop_duplicates().values.ravel())
            for m in (True, False)
        }
        assert all(f"{c}/{t}" in said for c, t in found) and said in readme


def test_readmes_other_numbers_are_those_of_the_committed_tables():
    import pandas as pd

    readme = (ROOT / "README.md").read_text()

    def table(name):
        return pd.read_csv(ROOT / "figures" / "small" / f"{name}.csv")

    for name, said in (
        ("table1_near_copies_after_tuning", "{} of 48 for each of the two references"),
        ("table2_near_copies_before_tuning", "{} of 48 for each"),
    ):
        counts = table(name).query("category == 'all'")["tainted"]
        assert counts.nunique() == 1 and said.format(counts.iloc[0]) in readme
    means = table("sec4_similarity_before_and_after").groupby(["reference", "side"])["raw"].mean()
    for reference in ("SmolLM2", "Gemma-3"):
        assert (
            f"{means[reference, 'before']:.2f} → {means[reference, 'after']:.2f} ({reference})"
            in readme
        )
    tainted = table("eq1_weakest_gaps")["tainted"]
    assert f"{tainted.sum()} of {len(tainted)} samples" in readme
    medians = table("sec6_2_evidence").groupby(["member", "suspect"])["evidence"].median().round(2)
    assert (
        f"median evidence {medians[True]['smollm2-weak']:.2f}, the non-members' between {medians[False].min():.2f} and\n{medians[False].max():.2f})"
        in readme
    )
    right = table("sec6_3_sensitivity").groupby(["setting", "value"])["correct"].sum()
    assert (
        (right["delta"].loc[0.10:0.20] == 8).all()
        and (right["delta"].loc[0.25:0.50] == 7).all()
        and right["draws"].loc[1] == 6
    )
    assert (
        "8/8 right for delta 0.10-0.20, 7/8 at 0.25-0.50 (with the default 0.30), 6/8 with one answer per prompt"
        in readme
    )


def test_readmes_numbers_of_the_other_notebooks():
    import pandas as pd

    readme = (ROOT / "README.md").read_text()

    def table(name):
        return pd.read_csv(ROOT / "figures" / "small" / f"{name}.csv")

    for method, part in table("table7_iid").groupby("method"):
        said = ", ".join(
            f"{g.removeprefix('non-members ')} {c}/{n}"
            for g, c, n in part[["group", "correct", "total"]].values
        )
        assert said in readme, (method, said)
    figure9 = (
        table("fig09_more_references").groupby("references", sort=False)[["correct", "total"]].sum()
    )
    assert "; ".join(f"{name}: {c}/{n}" for name, c, n in figure9.itertuples()) in readme
    figure10 = table("fig10_tainted_by_references").drop_duplicates("references")
    assert (
        ", ".join(f"{name} {n}" for name, n in figure10[["references", "tainted"]].values) in readme
    )
    for name in (
        "fig11a_rephrasing",
        "fig11b_temperature",
        "fig11c_removing_tainted_samples",
        "fig11d_subsets",
    ):
        caught = table(name).groupby("setting", sort=False)["correct"].agg(["sum", "size"])
        assert (
            "; ".join(f"{setting}: {k}/{n}" for setting, k, n in caught.itertuples()) in readme
        ), name
    shares = (
        table("fig11d_subsets").groupby("setting", sort=False)["share"].agg(["min", "max"]).round(2)
    )
    assert (
        ", ".join(
            f"{s} → {a:.2f}" + (f"-{b:.2f}" if b > a else "") for s, a, b in shares.itertuples()
        )
        in readme
    )
    moved = table("fig11a_rephrased_answers").groupby("setting")["moved"].mean()
    assert (
        f"moves an answer by {moved['smollm2 at 0']:.2f} " in readme
        and f"it moves them by {moved['smollm2 at 1']:.2f}," in readme
    )


def test_readmes_speeds_are_those_of_the_bench():
    import pandas as pd

    readme, table = (
        (ROOT / "README.md").read_text(),
        pd.read_csv(ROOT / "figures" / "small" / "bench.csv"),
    )
    ratio = table.set_index(["what", "model"])["ratio"].round(1)
    tuning, ours, alone = (
        ratio[name]
        for name in (
            "tuning: default SFTTrainer",
            "generation: pipeline, batch 8",
            "generation: pipeline, batch 1",
        )
    )
    said = (
        f"tuning {tuning['smollm2']} (SmolLM2) and {tuning['gemma3']} (Gemma-3), generation {ours['smollm2']} and {ours['gemma3']}\n"
        f"against the pipeline at batch 8 ({alone['smollm2']} and {alone['gemma3']} at its default), similarity {ratio[table['what'][6]].iloc[0]}, "
        f"two cores against one {ratio['cores: two processes against one', 'smollm2']}; it reaches "
        f"{table['share_of_peak'].min():.2f}-{table['share_of_peak'].max():.2f} of the machine's"
    )
    assert said in readme


def test_readmes_audit_numbers_are_those_of_the_committed_tables():
    import pandas as pd

    readme = (ROOT / "README.md").read_text()
    known, rates, apart, power, served = (
        pd.read_csv(ROOT / "figures" / "small" / f"audit_{n}.csv")
        for n in ("known_models", "rates", "twin", "power", "served")
    )
    for row in served.itertuples():
        end = f"| {row.queries} | {row.vote}, {row.positive} to {row.negative} | {row.p:.3f} |"
        assert any(
            line.startswith(f"| {row.suspect} | {row.server} |") and line.endswith(end)
            for line in readme.splitlines()
        ), row.suspect
    counts = rates.groupby(["who", "by"])[["called", "models"]].sum()
    called = [counts.loc["members", by].tolist() for by in ("rank at 0.05", "vote")]
    controls = (
        rates[(rates["who"] != "members") & (rates["by"] == "rank at 0.05")][["called", "models"]]
        .sum()
        .tolist()
    )
    assert (
        "it finds {} of {} members (the vote: {} of {}) and calls\n{} of {} controls".format(
            *called[0], *called[1], *controls
        )
        in readme
    )
    alike, innocent = known[known["kind"] == "data like D"], known[known["member"].eq(False)]
    others = len(innocent) - len(alike)
    assert (
        (alike["p_other_kinds"] - 1 / (others + 1)).abs().max() < 1e-5
        and f"all {len(alike)} that trained" in readme
        and f"(p = 1/{others + 1})" in readme
    )
    worst, best = apart.loc[apart["member"], "p"].max(), apart.loc[~apart["member"], "p"].min()
    assert (
        f"at most {worst:.2g} and the {(~apart['member']).sum()} innocent models of at least {best:.2g}."
        in readme
    )
    assert f"largest p of a member {worst:.2g}, smallest of an innocent model {best:.2g}" in readme
    rows = {test: part.set_index("learnt") for test, part in power.groupby("test")}
    ours = [rows["control models"], rows["private twin"]]
    assert (
        "accused in {:.1%} of them by the controls (95% interval {:.1f} to {:.1f}) and in {:.1%} by the twin ({:.1f} to {:.1f})".format(
            *(
                v
                for r in ours
                for v in (r.loc[0, "found"], 100 * r.loc[0, "low"], 100 * r.loc[0, "high"])
            )
        )
        in readme
    )
    shares = [(r.loc[s, "samples"] / r.loc[s, "samples_all"]) for s in (0.5, 1.0) for r in ours]
    assert (
        "published samples is found in {:.0%} and {:.0%}, one that learnt half in all, after {:.0%} and {:.0%} of the samples; one that learnt all after {:.0%} and {:.0%}".format(
            *(r.loc[0.3, "found"] for r in ours), *shares
        )
        in readme
        and all(r.loc[0.5, "found"] == 1 for r in ours)
    )


def test_readmes_numbers_of_the_neighbours():
    import pandas as pd

    readme = (ROOT / "README.md").read_text()

    def table(name):
        return pd.read_csv(ROOT / "figures" / "small" / f"{name}.csv")

    methods = table("attribution_own_methods")
    chosen, text = (
        methods[methods["chosen"]].iloc[0],
        methods[~methods["method"].str.startswith("perplexity")].sort_values("correct").iloc[-1],
    )
    assert (
        f"{chosen['method']}, chosen on the bases: {chosen['correct']}/{chosen['total']}; best by text alone: {text['correct']}/{text['total']} (permutation p {text['p_permuted']:.2f})"
        in readme
    )
    fit, caught = (
        table("imitation_fits").set_index("metric").loc["rouge_l"],
        table("imitation_caught"),
    )
    assert "slope {slope:+.2f} a tenfold (95%: {low:.2f} to {high:+.2f})".format(**fit) in readme
    assert ", ".join(f"{r.group} {r.correct}/{r.total}" for r in caught.itertuples()) in readme
    found, votes = (
        table("imitation_bootstrap").set_index("category").loc["all"],
        table("imitation_verdicts").set_index("suspect"),
    )
    assert (
        f"made up {found['accepted']:.0f} instructions ({found['accepted_share']:.0%} of what it listed"
        in readme
    )
    positive, asked = votes["positive"], (votes["positive"] + votes["negative"]).iloc[0]
    assert (
        "({}, {} and {} of {} tainted samples positive)".format(
            *sorted(positive[votes["seen"] == 1]), asked
        )
        in readme
    )
    assert (
        "({}, {} and {} positive)".format(*sorted(positive[votes["group"] == "trained on D'"]))
        in readme
    )
    assert (
        (votes.loc[votes["seen"].isin([0, 1]), "correct"]).all()
        and not votes.loc[votes["seen"].between(0.1, 0.9), "correct"].any()
    )
    means = table("imitation_budgets").query("metric == 'rouge_l'").set_index("model")["mean"]
    assert means.filter(like="imitator of").max() < means["imitator's base, untuned"]
    released = table("attribution_released_methods")
    best = released[released["chosen"]].iloc[0]
    assert (
        f"{best['method']}, chosen on the bases: {best['correct']}/{best['total']}, AUC {best['auc']:.2f}"
        in readme
    )
    assert (
        f"chosen on the bases finds {best['correct']}, where one chosen by\n  the answers would find {released['correct'].max()};"
        in readme
    )
    tally = (
        table("grey_box_tally")
        .set_index("method")
        .drop(columns=["access", "needs"])
        .map(lambda s: [int(n) for n in s.split("/")])
    )
    right = {m: [sum(n) for n in zip(*row)] for m, row in zip(tally.index, tally.to_numpy())}
    named = [
        "black-box dataset inference",
        "DIA (few)",
        "DIA (released)",
        "loss",
        "zlib",
        "recall",
        "samia",
        "cdd",
    ]
    assert "suspects judged rightly: " + ", ".join(
        "{} {}/{}".format(m, *right[m]) for m in named
    ) in readme and right["neighbours"] == [13, 13]
    wrong = [sum(n - k for k, n in tally.loc[m].drop("local members")) for m in ("loss", "zlib")]
    untuned = (
        table("grey_box_attacks")
        .query("suspect == 'smollm2-untuned' and view == 'answer' and attack == 'loss'")["auc"]
        .iloc[0]
    )
    leak = table("grey_box_leak")
    others = leak[leak["method"] != "black-box dataset inference"].pivot(
        index="method", columns="suspect", values="verdict"
    )
    assert leak.loc[leak["method"] == "black-box dataset inference", "correct"].all()
    assert (
        f"all {len(others)} of them miss it" in readme
        and (others["smollm2-full on D + validation"] == "non-member").all()
    )
    accused = others["smollm2-full on validation"]
    assert set(accused.index[accused == "member"]) == {"DIA (few)", "DIA (released)"}
    assert (
        "(p {:.0e})".format(leak.query("method == 'DIA (few)' and not member")["p"].iloc[0])
        in readme
    )
    sets = table("grey_box_sets").iloc[0]
    assert (
        f"loss accuses {wrong[0]} of 9 innocent models and zlib {wrong[1]}, for" in readme
        and f"(AUROC {untuned:.2f} by the loss" in readme
    )
    assert (
        f"cannot tell the two (AUC {sets['blind_auc']:.2f})" in readme
        and f"(on {sets['compared']} + {sets['asked']} texts)" in readme
    )
