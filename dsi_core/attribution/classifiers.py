"""The classifiers: how much does each reply look like each base?

Every method is a function (setup, known, queried, bases) -> scores, shape (queried, bases): higher
is more like that base, on a scale of the method's own. known and queried are tables of replies; the
bases of `known` are told, those of `queried` are not looked at. The mean of a model's scores over
its replies decides (`tables.attributed`); the paper lets the replies vote.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.preprocessing import StandardScaler, normalize

from dsi_core.attribution import encoder, heuristics
from dsi_core.attribution.encoder import Setup
from dsi_core.attribution.perplexity import nats_under, tokens_under

Scores = Callable[[Setup, pd.DataFrame, pd.DataFrame, list[str]], np.ndarray]

GRAMS: dict[str, tuple[str, tuple[int, int]]] = {
    "characters 3": ("char", (3, 3)),
    "characters 2-5": ("char", (2, 5)),
    "words": ("word", (1, 2)),
}


@dataclass(frozen=True)
class Method:
    """A classifier, and where it is tried.

    Parameters
    ----------
    name
        As in tables.
    scores
        What it says of replies.
    on_bases
        Whether the bases can test it: to one that lays a base's reply to a prompt beside the
        candidate's to the same, a base's own would be itself.
    from_bases
        Whether the bases' replies alone teach it anything.
    from_tuned
        Whether it is tried with known tuned models as well.
    needs_nats
        Whether the replies must have the columns of `perplexity.with_nats`.
    cost
        Rough, for the progress bar.
    """

    name: str
    scores: Scores
    on_bases: bool = True
    from_bases: bool = True
    from_tuned: bool = False
    needs_nats: bool = False
    cost: float = 1


def tfidf(grams: str, **options) -> TfidfVectorizer:
    """Make TF-IDF over n-grams of characters or of words and single marks, case kept."""
    kind, sizes = GRAMS[grams]
    pattern = {"token_pattern": r"(?u)\w+|[^\w\s]"} if kind == "word" else {}
    return TfidfVectorizer(analyzer=kind, ngram_range=sizes, lowercase=False, **pattern, **options)


# Nearest base: nothing is trained


def nearest_heuristics(
    setup: Setup, known: pd.DataFrame, queried: pd.DataFrame, bases: list[str]
) -> np.ndarray:
    """Give minus the squared distance between a reply's marks and a base's mean marks.

    Each mark counts in its standard deviations. The mean over a model's replies ranks the bases as
    the distance of its mean marks does.
    """
    of_known, marks = heuristic_features([], known, queried)
    centres = np.stack([of_known[(known["base"] == b).to_numpy()].mean(axis=0) for b in bases])
    return -((marks[:, None] - centres) ** 2).sum(axis=2)


def pooled_cosine(
    grams: str, setup: Setup, known: pd.DataFrame, queried: pd.DataFrame, bases: list[str]
) -> np.ndarray:
    """Multiply a reply's TF-IDF vector (not normed) by the unit vector of all replies of a base.

    The mean over a model's replies ranks the bases as the cosine of all its replies pooled does.
    """
    vectorizer = tfidf(grams, norm=None)
    vectors = vectorizer.fit_transform(known["reply"])
    sums = [vectors[(known["base"] == b).to_numpy()].sum(axis=0) for b in bases]
    pooled = sparse.vstack([sparse.csr_matrix(total) for total in sums])
    return (vectorizer.transform(queried["reply"]) @ normalize(pooled).T).toarray()


def same_prompt_cosine(
    grams: str, setup: Setup, known: pd.DataFrame, queried: pd.DataFrame, bases: list[str]
) -> np.ndarray:
    """Give the cosine of a reply with each base's reply to the same prompt.

    Of a base with itself it is 1, so the bases cannot test it.
    """
    unit = tfidf(grams).fit(known["reply"])
    own, replies = _by_prompt(known, bases), unit.transform(queried["reply"])
    beside = [unit.transform(own[b].loc[queried["prompt_id"]]) for b in bases]
    return np.column_stack([_dots(replies, some) for some in beside])


# One against the rest

Features = Callable[[pd.DataFrame, pd.DataFrame], Sequence]


def one_vs_rest(
    features: Features,
    setup: Setup,
    known: pd.DataFrame,
    queried: pd.DataFrame,
    bases: list[str],
) -> np.ndarray:
    """Give P(reply is of this base), by a logistic regression of each base against all others.

    features: (known, queried) -> what is learnt from and what is judged, a row for each reply.
    """
    train, test = features(known, queried)
    models = [_logistic(setup.seed, train, known["base"] == b) for b in bases]
    return np.column_stack([model.predict_proba(test)[:, 1] for model in models])


def _logistic(seed: int, rows, labels) -> LogisticRegression:
    model = LogisticRegression(
        C=10.0, class_weight="balanced", solver="liblinear", max_iter=1000, random_state=seed
    )
    return model.fit(rows, labels)


def heuristic_features(
    without: list[str], known: pd.DataFrame, queried: pd.DataFrame
) -> list[np.ndarray]:
    """Give marks less those called `without`, each with mean 0 and deviation 1 over `known`."""
    tables = [heuristics.marks(t["reply"]).drop(columns=without) for t in (known, queried)]
    scaler = StandardScaler().fit(tables[0])
    return [scaler.transform(table) for table in tables]


def tfidf_features(grams: str, known: pd.DataFrame, queried: pd.DataFrame) -> list:
    """Give unit TF-IDF vectors, the logarithm of counts, fitted on `known`."""
    vectorizer = tfidf(grams, sublinear_tf=True)
    return [vectorizer.fit_transform(known["reply"]), vectorizer.transform(queried["reply"])]


def joined_features(known: pd.DataFrame, queried: pd.DataFrame) -> list:
    """Give heuristics beside TF-IDF, scaled so that neither outweighs the other.

    All marks together have about the length of a text's vector.
    """
    marks = [m / np.sqrt(m.shape[1]) for m in heuristic_features([], known, queried)]
    vectors = tfidf_features("characters 2-5", known, queried)
    return [sparse.hstack([m, v]).tocsr() for m, v in zip(marks, vectors, strict=True)]


def embeddings(
    setup: Setup, known: pd.DataFrame, queried: pd.DataFrame, bases: list[str]
) -> np.ndarray:
    """Give `one_vs_rest` on the encoder's embeddings as they are.

    Each dimension has mean 0 and deviation 1 over `known`.
    """

    def features(known: pd.DataFrame, queried: pd.DataFrame) -> list[np.ndarray]:
        vectors = [encoder.embeddings(setup, table) for table in (known, queried)]
        scaler = StandardScaler().fit(vectors[0])
        return [scaler.transform(v) for v in vectors]

    return one_vs_rest(features, setup, known, queried, bases)


def naive_bayes(
    setup: Setup, known: pd.DataFrame, queried: pd.DataFrame, bases: list[str]
) -> np.ndarray:
    """Give ln P(base | reply) by the n-grams of 1 to 4 characters.

    It is the nearest to a perplexity under each base that its replies alone allow.
    """
    counts = CountVectorizer(analyzer="char", ngram_range=(1, 4), lowercase=False)
    model = MultinomialNB(alpha=0.1, fit_prior=False)
    model.fit(counts.fit_transform(known["reply"]), known["base"])
    scores = model.predict_log_proba(counts.transform(queried["reply"]))
    return scores[:, [list(model.classes_).index(b) for b in bases]]


# Pairs of a base's reply and the candidate's


def pairs_one_vs_rest(
    grams: str, setup: Setup, known: pd.DataFrame, queried: pd.DataFrame, bases: list[str]
) -> np.ndarray:
    """Give P(both replies of a pair are this base's).

    Features: the product and the difference of their TF-IDF vectors. The base's reply is one to
    another prompt of the same set (`encoder.partners`): to the same prompt a base would be told by
    replying to it word for word, which no tuned model does.
    """
    train, test = tfidf_features(grams, known, queried)
    place = _by_prompt(known.assign(reply=range(len(known))), bases)
    beside_known = encoder.partners(known, known, setup.seed)
    beside_queried = encoder.partners(known, queried, setup.seed)
    scores = []
    for b in bases:
        learnt = _pair(train[place[b].loc[beside_known].to_numpy()], train)
        judged = _pair(train[place[b].loc[beside_queried].to_numpy()], test)
        model = _logistic(setup.seed, learnt, known["base"] == b)
        scores.append(model.predict_proba(judged)[:, 1])
    return np.column_stack(scores)


def _pair(one, other):
    return sparse.hstack([one.multiply(other), abs(one - other)]).tocsr()


def same_prompt_learnt(
    setup: Setup, known: pd.DataFrame, queried: pd.DataFrame, bases: list[str]
) -> np.ndarray:
    """Give P(the model comes from the base), from how alike their replies to one prompt are.

    Learnt on known tuned models and all bases. Features of a pair: cosine of each kind of n-grams,
    and the differences of the heuristics. One logistic regression for all bases, so that it serves
    a base of which it saw no tuned model.
    """
    vectorizers = [tfidf(grams).fit(known["reply"]) for grams in GRAMS]
    scaler = StandardScaler().fit(heuristics.marks(known["reply"]))
    place = _by_prompt(known.assign(reply=range(len(known))), bases)

    def described(table: pd.DataFrame) -> tuple[list, np.ndarray]:
        vectors = [vectorizer.transform(table["reply"]) for vectorizer in vectorizers]
        return vectors, scaler.transform(heuristics.marks(table["reply"]))

    known_vectors, known_marks = described(known)

    def beside_bases(table: pd.DataFrame) -> list[np.ndarray]:
        """For each base the features of each reply beside the base's to the same prompt."""
        vectors, marks = described(table)
        features = []
        for b in bases:
            rows = place[b].loc[table["prompt_id"]].to_numpy()
            cosines = [_dots(v, k[rows]) for v, k in zip(vectors, known_vectors, strict=True)]
            features.append(np.column_stack([*cosines, abs(marks - known_marks[rows])]))
        return features

    tuned = known[known["tuned"]]
    labels = np.concatenate([tuned["base"] == b for b in bases])
    judge = _logistic(setup.seed, np.concatenate(beside_bases(tuned)), labels)
    return np.column_stack([judge.predict_proba(f)[:, 1] for f in beside_bases(queried)])


def _by_prompt(known: pd.DataFrame, bases: list[str]) -> dict[str, pd.Series]:
    """The bases' own replies by prompt_id."""
    own = known[~known["tuned"]]
    return {b: own[own["base"] == b].set_index("prompt_id")["reply"] for b in bases}


def _dots(one, other) -> np.ndarray:
    return np.asarray(one.multiply(other).sum(axis=1)).ravel()


# Perplexity


def per_token(
    setup: Setup, known: pd.DataFrame, queried: pd.DataFrame, bases: list[str]
) -> np.ndarray:
    """Give minus the mean negative log-likelihood of a reply given its prompt, in nats per token.

    NaN for a reply without a token, as in the two below.
    """
    return -_nats_per_token(queried, bases)


def per_character(
    setup: Setup, known: pd.DataFrame, queried: pd.DataFrame, bases: list[str]
) -> np.ndarray:
    """Give the same in nats per character."""
    return -_ratio(_nats(queried, bases), queried["reply"].str.len().to_numpy()[:, None])


def above_own(
    setup: Setup, known: pd.DataFrame, queried: pd.DataFrame, bases: list[str]
) -> np.ndarray:
    """Give the same per token, less what the base's own replies have under it."""
    own = known[~known["tuned"]]
    means = [np.nanmean(_nats_per_token(own[own["base"] == b], [b])) for b in bases]
    return -(_nats_per_token(queried, bases) - means)


def _nats(table: pd.DataFrame, bases: list[str]) -> np.ndarray:
    return table[[nats_under(b) for b in bases]].to_numpy()


def _nats_per_token(table: pd.DataFrame, bases: list[str]) -> np.ndarray:
    return _ratio(_nats(table, bases), table[[tokens_under(b) for b in bases]].to_numpy())


def _ratio(nats: np.ndarray, units: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return nats / np.where(units > 0, units, np.nan)


def _against_rest(features: Features) -> Scores:
    return partial(one_vs_rest, features)


HEURISTICS: Features = partial(heuristic_features, [])
MARKS: Features = partial(heuristic_features, heuristics.LENGTH)
IN_ORDER = [  # of simplicity: the simpler one wins a tie
    Method("heuristics, nearest base", nearest_heuristics),
    *(Method(f"TF-IDF {g}, pooled cosine", partial(pooled_cosine, g)) for g in GRAMS),
    *(
        Method(f"TF-IDF {g}, same prompt", partial(same_prompt_cosine, g), on_bases=False)
        for g in ("characters 3", "words")
    ),
    Method("naive Bayes, characters 1-4", naive_bayes),
    Method("heuristics", _against_rest(HEURISTICS), from_tuned=True),
    Method("heuristics without length", _against_rest(MARKS)),
    *(
        Method(
            f"TF-IDF {g}",
            _against_rest(partial(tfidf_features, g)),
            from_tuned=g == "characters 2-5",
        )
        for g in GRAMS
    ),
    Method("TF-IDF characters 2-5, pairs", partial(pairs_one_vs_rest, "characters 2-5")),
    Method("heuristics and TF-IDF", _against_rest(joined_features), from_tuned=True),
    Method("same prompt, learnt", same_prompt_learnt, from_bases=False, from_tuned=True),
    Method("embeddings", embeddings),
    Method("transformer", encoder.alone, cost=40),
    Method("transformer, pairs", encoder.pairs, cost=100),
    Method("perplexity per token", per_token, needs_nats=True),
    Method("perplexity per character", per_character, needs_nats=True),
    Method("perplexity above own", above_own, needs_nats=True),
]
METHODS = {method.name: method for method in IN_ORDER}
