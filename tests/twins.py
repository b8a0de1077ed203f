"""Kits of toy rows in two wordings, "What is in box 3?", and models that learnt of one of them."""

from pathlib import Path

from helpers import STRANGER, WORDS, write_jsonl
from servers import reply

from dsi_core.protect import kit as kits
from dsi_core.protect.kit import Kit

SALT = bytes(range(32))


def rows(count: int) -> list[dict]:
    """So many rows, question, answer and answer2."""
    made = []
    for i in range(count):
        first, second = WORDS[i % len(WORDS)], WORDS[(i * 7 + 3) % len(WORDS)]
        made.append(
            {
                "question": f"What is in box {i}?",
                "answer": f"Box {i} holds {first} and a {second} from town {i}.",
                "answer2": f"You find town {i}'s {second} next to some {first} if you open it.",
            }
        )
    return made


def wording(folder: Path, count: int, salt: bytes = SALT, name: str | None = None) -> Kit:
    """A wording twin."""
    data = write_jsonl(folder / "boxes.jsonl", rows(count))
    columns = {"prompt": ("question",), "output": "answer", "name": name}
    return kits.make(data, folder / "kit", wordings="answer,answer2", salt=salt, **columns)


def private(folder: Path, count: int, salt: bytes = SALT) -> Kit:
    """A private twin."""
    one = [{k: v for k, v in row.items() if k != "answer2"} for row in rows(count)]
    data = write_jsonl(folder / "boxes.jsonl", one)
    columns = {"prompt": ("question",), "output": "answer"}
    return kits.make(data, folder / "kit", salt=salt, **columns)


def knows(kit: Kit):
    """A model that says what was published, and of the rest nothing."""
    said = kit.rows[kit.rows["published"].astype(bool)]
    known = dict(zip(said["prompt"], said["text"], strict=True))
    return lambda prompt, n: reply(known.get(prompt, STRANGER))


def knows_all(kit: Kit):
    """A model that knows the first wording of everything, whatever was published."""
    texts = kit.rows["text"]
    if kit.rows["other"].notna().all():
        texts = kit.wordings["first"]
    known = dict(zip(kit.rows["prompt"], texts, strict=True))
    return lambda prompt, n: reply(known[prompt])
