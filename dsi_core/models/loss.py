"""The loss for tuning on a CPU, exact over large vocabularies too, forward and backward."""

import torch

ROWS = 8  # at once: of the largest vocabularies they stay in a core's cache


def nll(scores: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Give the negative log-likelihood of tokens in nats, summed: 0 or more, lower = more likely.

    It is torch's `cross_entropy(scores, tokens, reduction="sum")`, whose sum over a vocabulary
    loses digits on a CPU: of 262,144 entries it is 3e-5 too small, so that the probabilities of
    every token add up to more than 1, all in the same direction, and layers below magnify it.

    Parameters
    ----------
    scores
        Of each token's whole vocabulary, shape (tokens, vocabulary), fp32 or bf16. Overwritten:
        there is no second array of this size, forward or backward. Of bf16 only what is kept is
        rounded to it; a few rows at a time are computed in fp32.
    tokens
        Their ids, shape (tokens,).
    """
    return _Nll.apply(scores, tokens[:, None])


class _Nll(torch.autograd.Function):
    @staticmethod
    def forward(ctx, scores, tokens):
        losses, totals = [], []
        for some, told in zip(scores.split(ROWS), tokens.split(ROWS), strict=True):
            exact = some.float()  # itself, if it is fp32
            of_tokens, top = exact.gather(-1, told), exact.amax(-1, keepdim=True)
            weights = exact.sub_(top).exp_()
            totals.append(weights.sum(-1, keepdim=True))  # pairwise, unlike torch's log_softmax
            losses.append(totals[-1].log() - (of_tokens - top))
            some.copy_(weights)
        # autograd refuses what is overwritten if whatever made it still needs it
        ctx.save_for_backward(scores, torch.cat(totals), tokens)
        return torch.cat(losses).sum()

    @staticmethod
    def backward(ctx, grad):
        weights, total, tokens = ctx.saved_tensors
        parts = (x.split(ROWS) for x in (weights, grad / total, tokens))
        for some, share, told in zip(*parts, strict=True):
            of_scores = some.float().mul_(share)
            of_scores[torch.arange(len(told)), told[:, 0]] -= grad  # scatter_add_ copies them all
            some.copy_(of_scores)
        return weights, None
