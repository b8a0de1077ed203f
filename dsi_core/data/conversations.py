"""Conversations: which turns of a dialogue are the prompt, and which is the oracle output."""

import numpy as np

from dsi_core.data.fields import text_of

SPEAKERS = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "system": "system",
}


def first_exchange(turns, place: str, joined_by: str = "\n\n") -> tuple[str, str]:
    """Give the user's turns (and a system message) before the first answer, and that answer.

    Parameters
    ----------
    turns
        Messages with from and value, or role and content; or a list of texts, question first.
    place
        File, row and field, for errors.
    joined_by
        What stands between the turns.

    Raises
    ------
    ValueError
        For fewer than two messages, an unknown speaker, or no answer of the assistant.
    """
    turns = list(turns) if isinstance(turns, (list, tuple, np.ndarray)) else turns
    if not isinstance(turns, list) or len(turns) < 2:
        raise ValueError(f"{place}: {str(turns)[:80]!r} needs a list of at least two messages")
    if all(isinstance(turn, str) for turn in turns):  # [question, answer, ...]
        return turns[0].strip(), turns[1].strip()
    prompt: list[str] = []
    for turn in turns:
        speaker = turn.get("from", turn.get("role")) if isinstance(turn, dict) else None
        if speaker not in SPEAKERS:
            raise ValueError(f"{place}: speaker {speaker!r}; allowed: {', '.join(SPEAKERS)}")
        text = text_of(turn.get("value", turn.get("content")), place)
        if SPEAKERS[speaker] == "assistant":
            return joined_by.join(part for part in prompt if part), text
        prompt.append(text)
    raise ValueError(f"{place}: no answer of the assistant in it")
