// Where samples lie: in the view of similarities, of gaps, and of the evidence of a suspect.

/** Where the samples of a dataset lie; found: the chosen suspect's evidence, or null. */
function coordinates(data, state, found, codes) {
  const { facts, before, after, minGaps, order } = data;
  const n = facts.samples, r = facts.references.length, one = codes.per_one;
  const only = facts.references.indexOf(state.reference);
  const category = facts.categories.indexOf(state.category);
  const inCategory = new Uint8Array(n).fill(1);
  if (category >= 0) for (let i = 0; i < n; i++) inCategory[i] = data.category[i] === category;
  const x = new Float32Array(n), y = new Float32Array(n), rank = new Float32Array(n).fill(NaN);
  for (let i = 0; i < n; i++) {
    let of = Math.max(0, only);
    if (only < 0) {
      for (let k = 1; k < r; k++) {
        if (after[i * r + k] - before[i * r + k] < after[i * r + of] - before[i * r + of]) of = k;
      }
    }
    x[i] = before[i * r + of];
    y[i] = after[i * r + of];
  }
  let count = 0;
  for (const i of order) if (inCategory[i]) rank[i] = ++count;
  const gap = Float32Array.from(minGaps, (v) => v / one);
  const [low, high] = facts.evidence.map((v) => v / one);
  const floor = low - (0.06 * (high - low) || 0.1); // where filtered samples lie
  const level = new Float32Array(n).fill(NaN);
  if (found) {
    for (let i = 0; i < n; i++) {
      if (found[i] > codes.dropped) level[i] = found[i] / one;
      else if (found[i] === codes.dropped) level[i] = floor;
    }
  }
  const wide = (a, b) => {
    const pad = 0.04 * (b - a) || 0.5;
    return [a - pad, b + pad];
  };
  const gaps = [minGaps[order[n - 1]] / one, minGaps[order[0]] / one];
  const similar = wide(...data.range);
  return { inCategory, of: {
    similarity: { x, y, xs: similar, ys: similar, labels: ["before training on D", "after"] },
    gap: { x: rank, y: gap, xs: [1 - 0.02 * count, count * 1.02 + 0.5], whole: true,
      ys: wide(Math.min(0, gaps[0]), gaps[1]), labels: ["samples, sorted", "weakest gap"] },
    evidence: { x: gap, y: level, xs: wide(...gaps), ys: wide(floor, high),
      labels: ["weakest gap", "evidence"] },
  } };
}
