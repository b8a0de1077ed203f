// The texts of one sample, side by side, with the words that they have in common.

/**
 * The texts of sample i, as elements.
 * said: as `source.texts` gives them; status: of the sample, by number; who: the place of the
 * chosen suspect, or -1; own: its answers, or undefined.
 */
function readable(said, i, status, who, own, data, state, header) {
  const { codes } = header, one = codes.per_one, { facts, before, after } = data;
  const r = facts.references.length;
  const category = facts.categories[data.category[i]];
  const draws = (said.suspects[state.suspect] || []).map(([draw, text]) => {
    const gap = own ? own.gaps[i * own.draws + draw] : codes.not_asked;
    const bytes = new TextEncoder().encode(text).length;
    const counts = header.mu_counts && gap > codes.dropped && bytes >= state.mu;
    return { draw, text, gap, bytes, counts };
  });
  const best = draws.filter((d) => d.counts)
    .reduce((a, b) => (a && a.gap >= b.gap ? a : b), null);
  const against = best || draws[0];
  const joined = (...words) => words.filter(Boolean).join(", ");
  const head = (strong, rest) => make("h4", {}, strong, make("small", {}, ` ${rest}`));
  const body = (pieces) => make("p", {}, ...(pieces.length ? pieces.map(([piece, shared]) =>
    shared ? make("mark", {}, piece) : piece) : [make("i", {}, "(empty)")]));
  const references = (name, side, values) => make("div", { class: "column" },
    ...facts.references.flatMap((reference, k) => [
      head(`${reference} ${name}`, joined(`similarity ${plain(values[i * r + k], 2)}`,
        unmarked(said.oracle, side[k]))),
      body(common(said.oracle, side[k])),
    ]));
  const answered = draws.flatMap(({ draw, text, gap, bytes, counts }) => {
    const words = [gap > codes.dropped && header.mu_counts
      ? `weakest gap ${signed(gap / one)}` : "", plural(bytes, "byte"),
    gap === codes.dropped ? "no answer: dropped"
      : header.mu_counts && bytes < state.mu ? "shorter than mu: dropped" : "",
    unmarked(said.oracle, text)];
    const title = head(`answer ${draw + 1}`, joined(...words));
    if (draws.length > 1 && best && best.draw === draw) title.append(make("em", {}, " best"));
    const pieces = body(common(said.oracle, text));
    if (header.mu_counts && !counts) pieces.classList.add("dropped");
    return [title, pieces];
  });
  return [
    make("div", { class: "prompt" }, make("h4", {}, "Prompt", make("small", {},
      ` weakest gap ${signed(data.minGaps[i] / one)}: `
      + `${status ? "tainted" : "not tainted"}`
      + (status && who >= 0 ? ` · ${state.suspect}: ${STATUSES[status]}` : "")
      + (category ? ` · ${category}` : ""))), make("p", {}, said.prompt)),
    make("div", { class: "columns" },
      make("div", { class: "column" }, head("Oracle output", against
        ? unmarked(against.text, said.oracle)
          || `marked: also in the suspect's answer ${against.draw + 1}` : ""),
      body(against ? common(against.text, said.oracle) : [[said.oracle, 0]])),
      ...(who < 0 ? [] : [make("div", { class: "column" },
        make("h4", { class: "who" }, state.suspect),
        ...(answered.length ? answered : [make("p", {}, make("i", {}, "was not asked"))]))]),
      references("after", said.after, after), references("before", said.before, before)),
  ];
}
