// What the explorer counts, as `dsi_core.method` does (Eq. 1, Eq. 2, the vote), and the words that
// two texts have in common, as `dsi_core.data.common_words` (but a mark alone is none). Numbers are
// the codes of `explored.py`.

const STATUSES = ["not tainted", "positive", "negative", "filtered", "tainted"];
const NOT_TAINTED = 0, POSITIVE = 1, NEGATIVE = 2, FILTERED = 3, UNASKED = 4; // no answer at all

/** The best long enough answer to sample i, as a code (Eq. 2). */
function bestOf({ gaps, lengths, draws }, i, mu, { not_asked, dropped }) {
  let found = not_asked;
  for (let k = i * draws; k < (i + 1) * draws; k++) {
    if (gaps[k] === not_asked) continue;
    if (found === not_asked) found = dropped;
    if (gaps[k] > found && lengths[k] >= mu) found = gaps[k];
  }
  return found;
}

/**
 * A suspect's evidence on each sample. It is kept with the answers, sorted by length: another mu
 * changes only the samples of those whose length lies between both.
 */
function evidenceOf(answers, mu, codes) {
  const { lengths, draws } = answers;
  if (!answers.evidence) {
    const count = lengths.length / draws, longest = lengths.reduce((a, b) => Math.max(a, b), 0);
    answers.evidence = new Int16Array(count);
    for (let i = 0; i < count; i++) answers.evidence[i] = bestOf(answers, i, mu, codes);
    const next = new Uint32Array(longest + 2); // counting sort; then next[l] = end of length l
    for (const length of lengths) next[length + 1]++;
    for (let l = 1; l < next.length; l++) next[l] += next[l - 1];
    answers.byLength = new Uint32Array(lengths.length);
    lengths.forEach((length, k) => { answers.byLength[next[length]++] = k; });
    answers.ends = next;
  } else if (answers.mu !== mu) {
    const { ends, byLength } = answers;
    const below = (length) => length > 0 ? ends[Math.min(length, ends.length - 1) - 1] : 0;
    const end = below(Math.max(mu, answers.mu));
    for (let p = below(Math.min(mu, answers.mu)); p < end; p++) {
      const i = Math.floor(byLength[p] / draws);
      answers.evidence[i] = bestOf(answers, i, mu, codes);
    }
  }
  answers.mu = mu;
  return answers.evidence;
}

/** What each sample counts for: an index of STATUSES. Both thresholds are codes. */
function statusOf(minGaps, evidence, deltaT, deltaS, { not_asked, dropped }) {
  const status = new Uint8Array(minGaps.length);
  for (let i = 0; i < status.length; i++) {
    if (minGaps[i] <= deltaT) continue; // Eq. 1: strictly greater
    const found = evidence ? evidence[i] : not_asked;
    status[i] = found > dropped ? (found > deltaS ? POSITIVE : NEGATIVE)
      : found === dropped ? FILTERED : UNASKED;
  }
  return status;
}

/** The same, counted over the tainted samples alone. */
function votesOf(tainted, evidence, deltaS, { dropped }) {
  const counts = [0, 0, 0, 0, 0];
  for (let k = 0; k < tainted.length; k++) {
    const found = evidence[tainted[k]];
    if (found > dropped) counts[found > deltaS ? POSITIVE : NEGATIVE]++;
    else counts[found === dropped ? FILTERED : UNASKED]++;
  }
  return counts;
}

/** How many samples of those counted have each status. */
function tally(status, counted) {
  const counts = [0, 0, 0, 0, 0];
  for (let i = 0; i < status.length; i++) if (counted[i]) counts[status[i]]++;
  return counts;
}

/** The majority of positive and negative samples; what a tie says depends on whose rule it is. */
function verdictOf(counts, tie) {
  const positive = counts[POSITIVE], negative = counts[NEGATIVE];
  if (positive + negative === 0 && tie !== "member") return "inconclusive";
  if (positive === negative) return tie;
  return positive > negative ? "member" : "non-member";
}

// --- Words in common ----------------------------------------------------------------------------

// Scripts that put no spaces between words: each of their characters counts as one
const UNSPACED = "\\u0e00-\\u0eff\\u1000-\\u109f\\u1780-\\u17ff"
  + "\\u3040-\\u30ff\\u3400-\\u9fff\\uf900-\\ufaff";
const PIECES = new RegExp(`\\s+|[${UNSPACED}]|(?:(?![${UNSPACED}])[\\p{L}\\p{N}\\p{M}_])+`
  + "|[^\\s\\p{L}\\p{N}\\p{M}_]", "gu");
const LONGEST = 4e6; // pairs of words that are compared at most

const isBlank = (piece) => /^\s/.test(piece);
const wordsOf = (text) =>
  (text.match(PIECES) || []).filter((piece) => !isBlank(piece)).map((piece) => piece.toLowerCase());

/** What to say of two texts that have too many words for `common`, or "". */
const unmarked = (other, text) =>
  wordsOf(other).length * wordsOf(text).length > LONGEST ? "too long to be marked" : "";

/** A text cut into [piece, shared]: on a longest common subsequence of words with another text. */
function common(other, text) {
  const all = text.match(PIECES) || [], left = wordsOf(other), right = wordsOf(text);
  const shared = new Uint8Array(right.length + 1);
  const n = left.length, m = right.length;
  if (n * m <= LONGEST) {
    const best = new Uint16Array((n + 1) * (m + 1));
    for (let i = n - 1; i >= 0; i--) {
      for (let j = m - 1; j >= 0; j--) {
        const down = best[(i + 1) * (m + 1) + j], across = best[i * (m + 1) + j + 1];
        best[i * (m + 1) + j] = left[i] === right[j]
          ? best[(i + 1) * (m + 1) + j + 1] + 1 : Math.max(down, across);
      }
    }
    for (let i = 0, j = 0; i < n && j < m;) {
      if (left[i] === right[j]) { shared[j] = 1; i++; j++; }
      else if (best[(i + 1) * (m + 1) + j] >= best[i * (m + 1) + j + 1]) i++;
      else j++;
    }
  }
  const isMark = (word) => !/[\p{L}\p{N}]/u.test(word);
  for (let j = 0; j < m; j++) { // a mark counts beside a shared word only
    if (isMark(right[j]) && !(j && shared[j - 1]) && !(shared[j + 1] && !isMark(right[j + 1]))) {
      shared[j] = 0;
    }
  }
  let word = 0;
  return all.map((piece) => isBlank(piece)
    ? [piece, word > 0 && shared[word - 1] && shared[word]] : [piece, shared[word++]]);
}
