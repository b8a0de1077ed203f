"""Answers that only decline to answer, in English.

A model that has never seen D is often careful: it begins with "I'm not able to give legal advice,
but ..." and then answers. Such an answer counts. An answer is refused if it opens by declining and
has nothing of substance beside what declines, apologises or points elsewhere. A refusal in another
language is taken for an answer, and so is one that explains itself at length; the line of the
report that counts refused answers as answers says how much depends on that.
"""

import re

SUBSTANCE = 8  # words: fewer, beside a refusal, are no answer

_BLANKS = re.compile(r"\s+")  # one for a run of them: `_ENDS` would try each of thousands
# where a sentence or the part of one ends that can be judged alone
_ENDS = re.compile(
    r"(?<=[.!?])[\"')*]*\s+|\n+|;\s+|\s+[-–—]\s+"
    r"|,?\s+(?:but|however|though|although|that said|nevertheless|having said that),?\s+",
    re.I,
)
_WORD = re.compile(r"\w[\w'.,-]*")

_AS_AN_AI = (
    r"as (an? )?(ai|artificial intelligence|(large )?language model|assistant|chatbot)\b"
    r"( (language model|assistant|model|chatbot))?"
    r"( (developed|created|trained|made|built) by [^,]+)?\W*"
)
_SORRY = (  # its \W*+ gives nothing back: `_POLITE` would try the rest after each sign of a run
    r"((i am|i'm|we are|we're) ((very|so|really|truly|deeply) )?sorry|sorry|my apologies"
    r"|(i |we )?apologi[sz]e|unfortunately|regrettably|sadly)\W*+((but|and|that) )?"
)
_CANNOT = (
    r"(can't|cannot|can not|could not|couldn't|won't|will not|unable to|not able to|not allowed to"
    r"|not permitted to|not qualified to|not comfortable|not in a position to|not equipped to"
    r"|not designed to|not programmed to) ?"
)
_DO = (
    r"((really|directly|currently|personally) )?(help|assist|provid|answer|comply|shar|discuss"
    r"|fulfil|engag|generat|creat|giv|offer|advis|do (that|this|so)|respond|continu|support"
    r"|complet|process|writ|produc|speak|comment|access|recommend|tell)"
)
_LACKS = (
    r"((do not|don't) (currently )?(have|possess|hold)( (any|an?|the|direct|real-time))*"
    r"|have no|lack)"
    r" (access|personal|opinions?|feelings?|ability|capability|permission|licen[cs]e)"
)
_REFERRED = (
    r"lawyer|attorney|solicitor|counsel|advis[eo]r|professional|expert|specialist|doctor|physician"
    r"|therapist|provider|hotline|helpline|customer service|support|website|search engine"
    r"|(other|reliable|official|trusted) (re)?sources?|someone (else )?(who|qualified)"
)

_PREFIX = rf"\W*((however|still|but)\W+)?({_SORRY})?({_AS_AN_AI})?({_SORRY})?"
_DECLINES = re.compile(
    rf"{_PREFIX}(((i|we)( am|'m| are|'re)? (just |only )?({_CANNOT}({_DO}|$|\W*$)|{_LACKS}))"
    r"|(i|we) ((must|have to|need to) )?(decline|refuse)\b"
    r"|(i|we)('d| would) (rather|prefer) not\b"
    r"|(that|this|it)( is|'s) (not )?something (that )?(i|we)( am|'m| are|'re)? "
    rf"(not |can't|cannot|won't|will not|unable)"
    r"|(i am|i'm) (just|only) an? (ai|artificial intelligence|language model|assistant))",
    re.I,
)
_POLITE = re.compile(
    rf"\W*({_SORRY}((to hear|for|about|if) .*)?\W*$|thank(s| you)\b|(i|we) (completely |fully )?"
    r"(understand|appreciate|see that)\b|(that is|that's|what) an? (\w+ )?question|(great|good) q)",
    re.I,
)
_OFFERS = re.compile(
    r"\W*((please )?(let me know|feel free)|is there (anything|something)"
    r"|(how|what) (else )?(can|may) i (help|assist|do)"
    r"|if (you|there)('s| is| have| need| would|'d) .*(question|help|assist|else)"
    r"|(i|we)('d| would|'ll| will|'m| am) (be )?(happy|glad)|i hope (this|that))",
    re.I,
)
_REFERS = re.compile(
    r"\W*((please|kindly|you|i|we|it|for|try|instead|consider)\b.{0,60}?\b)?"
    r"(consult|contact|ask|seek|refer|check|speak|talk|reach|visit|call|turn|see)(ing)?\b"
    rf".{{0,80}}\b({_REFERRED})",
    re.I,
)
_OF_ITSELF = re.compile(
    r"\b(my|our) (guidelines|programming|polic(y|ies)|training|purpose|creators|developers"
    r"|limitations|capabilities)\b",
    re.I,
)


def refuses(text: str) -> bool:
    """Tell whether a text opens by declining and has no substance beside.

    Substance is `SUBSTANCE` words in parts that do not decline, apologise, refer to somebody else,
    offer other help or speak of the model's own rules.
    """
    text = _BLANKS.sub(lambda run: "\n" if "\n" in run[0] else " ", text.replace("’", "'"))
    parts = [part for part in _ENDS.split(text) if _WORD.search(part)]
    opening = next((part for part in parts if not _POLITE.match(part)), "")
    if not _DECLINES.match(opening):
        return False
    return sum(len(_WORD.findall(part)) for part in parts if not _is_empty(part)) < SUBSTANCE


def _is_empty(part: str) -> bool:
    begins = (_DECLINES, _POLITE, _OFFERS, _REFERS)
    return any(b.match(part) for b in begins) or bool(_OF_ITSELF.search(part))
