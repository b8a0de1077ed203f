"""What two texts have in common: the longest common subsequence of their words."""

import re
from collections.abc import Sequence

from rapidfuzz.distance import LCSseq

# Scripts that put no spaces between words: each of their characters counts as one
UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
WORD = rf"[{UNSPACED}]|[^\W{UNSPACED}]+"
PIECES = re.compile(rf"\s+|{WORD}|[^\w\s]")
WORDS = re.compile(WORD)


def pieces(text: str) -> list[str]:
    """A text cut into words, blanks and single punctuation marks; joined they are the text."""
    return PIECES.findall(text)


def common(oracle: str, response: str) -> list[tuple[str, bool]]:
    """Which pieces of a response lie on its longest common subsequence of words with the oracle.

    Parameters
    ----------
    oracle, response : str
        The texts; case is ignored, punctuation marks are words.

    Returns
    -------
    list of (str, bool)
        The response's `pieces` in order, and whether each is shared; blanks between two shared
        words are shared too. Where several subsequences are longest, one of them.
    """
    left = [p.lower() for p in pieces(oracle) if not p.isspace()]
    right = [p.lower() for p in pieces(response) if not p.isspace()]
    shared: set[int] = set()
    for block in LCSseq.opcodes(left, right):
        if block.tag == "equal":
            shared.update(range(block.dest_start, block.dest_end))
    marked, word = [], 0  # word: the index in `right` of the next word
    for piece in pieces(response):
        if piece.isspace():
            marked.append((piece, word - 1 in shared and word in shared))
        else:
            marked.append((piece, word in shared))
            word += 1
    return marked


def in_order(text: str) -> list[str]:
    """Give a text's words in their order, without case and punctuation."""
    return WORDS.findall(text.lower())


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
