"""Attribution, the classifiers: how much does each reply look like each base?

Every method is a function (profile, known, asked, bases) -> scores, shape (len(asked), len(bases)): higher = more like that base, on a
scale of the method's own. known and asked are tables of replies (`attribution_data`); the bases of `known` are told, those of `asked`
are not looked at. The mean of a model's scores over its replies decides (`attribution_tables.attributed`); the paper lets the replies vote.
"""

from functools import partial

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.preprocessing import StandardScaler, normalize

from dsi_core.attribution import encoder, heuristics

GRAMS = {
    "characters 3": ("char", (3, 3)),
    "characters 2-5": ("char", (2, 5)),
    "words": ("word", (1, 2)),
}


def tfidf(grams: str, **how) -> TfidfVectorizer:
    """TF-IDF over n-grams of characters or of words and single marks, case kept."""
    kind, sizes = GRAMS[grams]
    pattern = {"token_pattern": r"(?u)\w+|[^\w\s]"} if kind == "word" else {}
    return TfidfVectorizer(analyzer=kind, ngram_range=sizes, lowercase=False, **pattern, **how)


# Nearest base: nothing is trained


def nearest_heuristics(profile, known, asked, bases) -> np.ndarray:
    """Minus the squared distance between a reply's marks and the mean marks of a base's replies, each mark in its standard deviations.

    The mean over a model's replies ranks the bases as the distance of its mean marks does.
    """
    scaler = StandardScaler().fit(heuristics.features(known["reply"]))
    marks, own = (scaler.transform(heuristics.features(t["reply"])) for t in (asked, known))
    centres = np.stack([own[(known["base"] == b).to_numpy()].mean(axis=0) for b in bases])
    return -((marks[:, None] - centres) ** 2).sum(axis=2)


def pooled_cosine(grams, profile, known, asked, bases) -> np.ndarray:
    """A reply's TF-IDF vector (not normed) times the unit vector of all replies of a base.

    The mean over a model's replies ranks the bases as the cosine of all its replies pooled does.
    """
    counts = tfidf(grams, norm=None)
    own = counts.fit_transform(known["reply"])
    pooled = sparse.vstack(
        [sparse.csr_matrix(own[(known["base"] == b).to_numpy()].sum(axis=0)) for b in bases]
    )
    return (counts.transform(asked["reply"]) @ normalize(pooled).T).toarray()


def same_prompt_cosine(grams, profile, known, asked, bases) -> np.ndarray:
    """The cosine of a reply with each base's reply to the same prompt. (Of a base with itself it is 1, so the bases cannot test it.)"""
    unit = tfidf(grams).fit(known["reply"])
    own, replies = _by_prompt(known, bases), unit.transform(asked["reply"])
    return np.column_stack(
        [_dots(replies, unit.transform(own[b].loc[asked["prompt_id"]])) for b in bases]
    )


# One against the rest


def one_vs_rest(features, profile, known, asked, bases) -> np.ndarray:
    """P(reply is of this base), for each base a logistic regression of its own against the replies of all others."""
    train, test = features(known, asked)
    return np.column_stack(
        [_logistic(profile, train, known["base"] == b).predict_proba(test)[:, 1] for b in bases]
    )


def _logistic(profile, rows, labels) -> LogisticRegression:
    return LogisticRegression(
        C=10.0,
        class_weight="balanced",
        solver="liblinear",
        max_iter=1000,
        random_state=profile.seed,
    ).fit(rows, labels)


def heuristic_features(without, known, asked):
    """The marks of the replies less those called `without`, each with mean 0 and deviation 1 over `known`."""
    tables = [heuristics.features(t["reply"]).drop(columns=without) for t in (known, asked)]
    scaler = StandardScaler().fit(tables[0])
    return [scaler.transform(t) for t in tables]


def tfidf_features(grams, known, asked):
    vectors = tfidf(grams, sublinear_tf=True)
    return vectors.fit_transform(known["reply"]), vectors.transform(asked["reply"])


def joined_features(known, asked):
    """Heuristics beside TF-IDF; scaled so that neither outweighs the other: all marks together have about the length of a text's vector."""
    marks = [m / np.sqrt(m.shape[1]) for m in heuristic_features([], known, asked)]
    return [
        sparse.hstack([m, t]).tocsr()
        for m, t in zip(marks, tfidf_features("characters 2-5", known, asked))
    ]


def embeddings(profile, known, asked, bases) -> np.ndarray:
    """`one_vs_rest` on the encoder's embeddings as they are, each dimension with mean 0 and deviation 1 over `known`."""
    vectors = [encoder.embeddings(profile, t) for t in (known, asked)]
    scaler = StandardScaler().fit(vectors[0])
    return one_vs_rest(
        lambda *_: [scaler.transform(v) for v in vectors], profile, known, asked, bases
    )


def naive_bayes(profile, known, asked, bases) -> np.ndarray:
    """Ln P(base | reply) by the n-grams of 1 to 4 characters: the nearest to a perplexity under each base that its replies alone allow."""
    counts = CountVectorizer(analyzer="char", ngram_range=(1, 4), lowercase=False)
    model = MultinomialNB(alpha=0.1, fit_prior=False).fit(
        counts.fit_transform(known["reply"]), known["base"]
    )
    found = model.predict_log_proba(counts.transform(asked["reply"]))
    return found[:, [list(model.classes_).index(b) for b in bases]]


# Pairs of a base's reply and the candidate's


def pairs_one_vs_rest(grams, profile, known, asked, bases) -> np.ndarray:
    """P(both replies of a pair are this base's), from the product and the difference of their TF-IDF vectors.

    The base's reply is one to another prompt of the same set (`transformer.partners`): to the same prompt a base would be told by
    replying to it word for word, which no tuned model does.
    """
    train, test = tfidf_features(grams, known, asked)
    place = _by_prompt(known.assign(reply=range(len(known))), bases)
    beside = [encoder.partners(known, t, profile.seed) for t in (known, asked)]
    scores = []
    for b in bases:
        pairs = [
            _pair(train[place[b].loc[p].to_numpy()], rows) for p, rows in zip(beside, (train, test))
        ]
        scores.append(
            _logistic(profile, pairs[0], known["base"] == b).predict_proba(pairs[1])[:, 1]
        )
    return np.column_stack(scores)


def _pair(one, other):
    return sparse.hstack([one.multiply(other), abs(one - other)]).tocsr()


def same_prompt_learnt(profile, known, asked, bases) -> np.ndarray:
    """P(the model comes from the base), from how alike their replies to one prompt are; learnt on known tuned models and all bases.

    Features of a pair: cosine of each kind of n-grams, and the differences of the heuristics. One logistic regression for all bases, so
    that it serves a base of which it saw no tuned model.
    """
    views, marks = (
        [tfidf(g).fit(known["reply"]) for g in GRAMS],
        heuristics.features(known["reply"]),
    )
    scaler, place = (
        StandardScaler().fit(marks),
        _by_prompt(known.assign(reply=range(len(known))), bases),
    )
    texts, marks = [v.transform(known["reply"]) for v in views], scaler.transform(marks)

    def alike(theirs, their_marks, prompts, base):
        beside = place[base].loc[prompts].to_numpy()
        return np.column_stack(
            [
                *(_dots(t, own[beside]) for t, own in zip(theirs, texts)),
                abs(their_marks - marks[beside]),
            ]
        )

    tuned = known["tuned"].to_numpy()
    learnt = [t[tuned] for t in texts], marks[tuned], known.loc[tuned, "prompt_id"]
    new = (
        [v.transform(asked["reply"]) for v in views],
        scaler.transform(heuristics.features(asked["reply"])),
        asked["prompt_id"],
    )
    rows, labels = (
        np.concatenate([alike(*learnt, b) for b in bases]),
        np.concatenate([known.loc[tuned, "base"] == b for b in bases]),
    )
    judge = _logistic(profile, rows, labels)
    return np.column_stack([judge.predict_proba(alike(*new, b))[:, 1] for b in bases])


def _by_prompt(known: pd.DataFrame, bases: list[str]) -> dict[str, pd.Series]:
    """The bases' own replies by prompt_id."""
    alone = known[~known["tuned"]]
    return {b: alone[alone["base"] == b].set_index("prompt_id")["reply"] for b in bases}


def _dots(one, other) -> np.ndarray:
    return np.asarray(one.multiply(other).sum(axis=1)).ravel()


# Perplexity: columns nats and tokens, a list over the bases in each row (`attribution_perplexity`)


def perplexity(per, profile, known, asked, bases) -> np.ndarray:
    """Minus the mean negative log-likelihood of a reply under each base given its prompt, in nats per token or per character.

    per "above own": nats per token less what the base's own replies have under it. NaN for a reply without a token.
    """

    def nats(table):
        units = (
            np.stack(table["tokens"].to_list())
            if per != "character"
            else table["reply"].str.len().to_numpy()[:, None]
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.stack(table["nats"].to_list()) / np.where(units > 0, units, np.nan)

    found = nats(asked)
    if per == "above own":
        alone = known[~known["tuned"]]
        found = found - [
            np.nanmean(nats(alone[alone["base"] == b])[:, i]) for i, b in enumerate(bases)
        ]
    return -found


HEURISTICS, MARKS = partial(heuristic_features, []), partial(heuristic_features, heuristics.LENGTH)
METHODS = {  # in order of simplicity: the simpler one wins a tie
    "heuristics, nearest base": nearest_heuristics,
    **{f"TF-IDF {g}, pooled cosine": partial(pooled_cosine, g) for g in GRAMS},
    **{
        f"TF-IDF {g}, same prompt": partial(same_prompt_cosine, g)
        for g in ("characters 3", "words")
    },
    "naive Bayes, characters 1-4": naive_bayes,
    "heuristics": partial(one_vs_rest, HEURISTICS),
    "heuristics without length": partial(one_vs_rest, MARKS),
    **{f"TF-IDF {g}": partial(one_vs_rest, partial(tfidf_features, g)) for g in GRAMS},
    "TF-IDF characters 2-5, pairs": partial(pairs_one_vs_rest, "characters 2-5"),
    "heuristics and TF-IDF": partial(one_vs_rest, joined_features),
    "same prompt, learnt": same_prompt_learnt,
    "embeddings": embeddings,
    "transformer": encoder.alone,
    "transformer, pairs": encoder.pairs,
    "perplexity per token": partial(perplexity, "token"),
    "perplexity per character": partial(perplexity, "character"),
    "perplexity above own": partial(perplexity, "above own"),
}
