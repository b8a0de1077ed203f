"""Controls for JupyterLab beside the explorer: they only call functions that are tested alone."""

import html
import re

import ipywidgets
import pandas as pd

from dsi_core.imitation import ratings


def rating(sheet: pd.DataFrame) -> ipywidgets.VBox:
    """Rate answers blindly: a name, then one answer after another, with five buttons.

    It goes on where this rater stopped. Every rating is stored at once; texts are escaped.

    Parameters
    ----------
    sheet : DataFrame
        As `ratings.sheet`: item, instruction, response; in the order to rate in.

    Returns
    -------
    VBox
        Name, text, row of buttons, what is done.
    """
    name = ipywidgets.Text(description="your name", placeholder="letters, digits, _ and -")
    text, progress = ipywidgets.HTML(), ipywidgets.Label()
    buttons = [
        ipywidgets.Button(description=str(s), layout={"width": "3em"}) for s in ratings.STARS
    ]
    shown: dict[str, str] = {}  # which is rated, though another window has rated it meanwhile
    row = ipywidgets.HBox([ipywidgets.Label("1 = useless, 5 = good and correct"), *buttons])

    def unrated() -> pd.DataFrame:
        rated = ratings.read(sheet)
        return sheet[~sheet["item"].isin(rated.loc[rated["rater"] == name.value, "item"])]

    def show(*_) -> None:
        row.layout.visibility, text.value = "hidden", ""
        if not re.fullmatch(ratings.RATER, name.value):
            progress.value = "a name first"
            return
        rest = unrated()
        progress.value = f"{len(sheet) - len(rest)} of {len(sheet)} rated"
        if rest.empty:
            progress.value += ", thank you"
        else:
            shown["item"] = rest["item"].iloc[0]
            row.layout.visibility, text.value = "visible", _task(rest.iloc[0])

    def click(button: ipywidgets.Button) -> None:
        ratings.rate(sheet, name.value, shown["item"], int(button.description))
        show()

    for button in buttons:
        button.on_click(click)
    name.observe(show, "value")
    show()
    return ipywidgets.VBox([name, text, row, progress])


def _paragraph(title: str, text: str) -> str:
    return f"<p><b>{html.escape(title)}</b><br>{html.escape(text) or '<i>(empty)</i>'}</p>"


def _task(item: pd.Series) -> str:
    parts = [("Task", item["instruction"]), ("Answer", item["response"])]
    return "".join(_paragraph(*part).replace("\n", "<br>") for part in parts)
