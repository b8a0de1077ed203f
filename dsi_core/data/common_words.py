"""What two texts have in common: the longest common subsequence of their words."""

import re
import unicodedata
from collections.abc import Sequence
from itertools import groupby

from rapidfuzz.distance import LCSseq

# Scripts that put no spaces between words: each of their characters counts as one
UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
# What nobody sees: Unicode's Default_Ignorable_Code_Point, the marks of annotations (U+FFF9 on),
# and controls that are no blanks
UNSEEN = (
    r"\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    r"\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)


def _marks() -> str:
    """Combining marks of the other scripts (accents, vowel signs), which words of `re` lack.

    As ranges, for a set in a pattern: such a set with thousands of characters is slow.
    """
    unspaced = re.compile(f"[{UNSPACED}]")
    marks = (c for c in range(0x300, 0x20000) if unicodedata.category(chr(c)).startswith("M"))
    codes = enumerate(c for c in marks if not unspaced.match(chr(c)))
    runs = [[c for _, c in run] for _, run in groupby(codes, lambda placed: placed[1] - placed[0])]
    return "".join(f"{chr(run[0])}-{chr(run[-1])}" for run in runs)


def _word(marks: str) -> str:
    """The pattern of a word. A mark belongs to the letter before it; alone it is none."""
    return rf"[{UNSPACED}]|[^\W{UNSPACED}]+(?:[{marks}]+[^\W{UNSPACED}]*)*"


WORD = _word(_marks())
PIECES = re.compile(rf"\s+|{_word(_marks() + UNSEEN)}|[^\w\s]")
WORDS = re.compile(WORD)
ASCII_WORDS = re.compile(r"\w+", re.ASCII)  # the same words in ASCII, found four times as fast
_NARROW: dict[int, int | str] = {
    0x3000: " ",
    **{wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)},
}
_UNSEEN = re.compile(f"[{UNSEEN}]+")


def seen(text: str) -> str:
    """Give a text without invisible characters."""
    return _UNSEEN.sub("", text)


def narrow(text: str) -> str:
    """Give a text with full-width letters, digits, marks and blanks as the usual ones."""
    return text if text.isascii() else text.translate(_NARROW)


def is_blank(text: str) -> bool:
    """Tell whether nobody sees anything of a text: it is empty, or of blanks and unseen marks."""
    return not seen(text).strip()


def pieces(text: str) -> list[str]:
    """A text cut into words, blanks and single punctuation marks; joined they are the text."""
    return PIECES.findall(text)


def common(oracle: str, response: str) -> list[tuple[str, bool]]:
    """Which pieces of a response lie on its longest common subsequence of words with the oracle.

    Parameters
    ----------
    oracle, response : str
        The texts; case, how an accent is written, and invisible characters are ignored; punctuation
        marks are words.

    Returns
    -------
    list of (str, bool)
        The `pieces` of the response's NFC form in order, and whether each is shared; blanks between
        two shared words are shared too. Where several subsequences are longest, one of them.
    """
    oracle, response = (unicodedata.normalize("NFC", text) for text in (oracle, response))
    left, right = (list(filter(None, map(_compared, pieces(text)))) for text in (oracle, response))
    shared: set[int] = set()
    for block in LCSseq.opcodes(left, right):
        if block.tag == "equal":
            shared.update(range(block.dest_start, block.dest_end))
    marked, word = [], 0  # word: the index in `right` of the next word
    for piece in pieces(response):
        if not _compared(piece):
            marked.append((piece, word - 1 in shared and word in shared))
        else:
            marked.append((piece, word in shared))
            word += 1
    return marked


def _compared(piece: str) -> str:
    """A piece as it is compared; "" = a blank."""
    return unicodedata.normalize("NFC", seen(piece)).lower().strip()


def in_order(text: str) -> list[str]:
    """Give a text's words in their order, without case and punctuation.

    An accented letter is the same whether it is written as one character or as two (NFC).
    """
    if text.isascii():
        return ASCII_WORDS.findall(text.lower())
    return WORDS.findall(unicodedata.normalize("NFC", text.lower()))


def rouge_l(a: Sequence[str], b: Sequence[str], /) -> float:
    """Give ROUGE-L: the F of the longest common subsequence's shares of two texts' words.

    Parameters
    ----------
    a, b
        Words, as `in_order` gives them; which is which does not matter.

    Returns
    -------
    float
        In [0, 1], higher = closer; 0 where a text has no words.

    References
    ----------
    Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004; here without stemming.
    """
    longest = LCSseq.similarity(a, b)
    if not longest:
        return 0.0
    # by both shares: 2 * longest / (len(a) + len(b)) differs in the last bit
    of_a, of_b = longest / len(a), longest / len(b)
    return 2 * of_a * of_b / (of_a + of_b)
