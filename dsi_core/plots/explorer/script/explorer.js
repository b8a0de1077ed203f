// The explorer: three linked views of samples, the suspects' votes, and the texts of one sample.
// Eight files are joined: method.js (what counts), elements.js, state.js (what is shown, as text),
// views.js (where samples lie), draw.js (how they are drawn), texts.js (what they say), this one
// (what there is to do), and hosts.js (in a notebook or in a page).

const MANY = 4000; // samples in sight: beyond, cells are drawn instead of dots
const NEAR = 14; // pixels from the pointer to a sample
const EDGE = 1e-4; // around the samples that keys mark, as the ends of a region have four decimals
const SOON = 300; // milliseconds that texts may take before other texts give way to a word on that

/**
 * Show an explorer.
 * source: header; numbers(dataset, suspect or -1) -> Promise of bytes; texts(dataset, sample) ->
 * Promise of texts, or of null where there are none (lateTexts, noTexts: what to say until they
 * come, and then); link(text) -> what "copy" copies.
 * told(state, brushed): called after each change, brushed = places of samples or null.
 */
function explore(root, source, given, told) {
  const { header } = source;
  const { codes, looks, colors, limits } = header;
  const code = (threshold) => Math.round(threshold * codes.per_one);
  const byName = new Map(header.datasets.map((facts) => [facts.name, { facts, texts: new Map() }]));
  let state, data, frame = 0, hovered = -1, drag = null, drawn = null;
  let wantedTexts = "", late = 0, lateHint = 0; // what the panel is to show; timers until it does

  function start(dataset) {
    const facts = byName.get(dataset).facts;
    return { dataset, suspect: facts.suspects[0]?.suspect ?? "", sample: "", ...header.start,
      reference: "", category: "", kind: "", status: "", region: "" };
  }

  /** Where delta_t ends: `lowest` is rounded up, and may lie above the study's own threshold. */
  const lowestOf = (facts) =>
    Math.min(header.start.delta_t, Math.max(limits.lowest, facts.lowest));

  /** A state that this explorer can show: what it does not know is as at the beginning. */
  function valid(wanted) {
    const dataset = byName.has(wanted.dataset) ? wanted.dataset : header.datasets[0].name;
    const facts = byName.get(dataset).facts, base = start(dataset), next = { ...base, ...wanted };
    const known = {
      dataset: [dataset],
      suspect: facts.suspects.length ? facts.suspects.map((s) => s.suspect) : [""],
      reference: ["", ...facts.references],
      category: ["", ...facts.categories],
      kind: ["", ...facts.suspects.map((s) => s.kind)],
      status: ["", ...STATUSES],
    };
    for (const [key, options] of Object.entries(known)) {
      if (!options.includes(next[key])) next[key] = base[key];
    }
    const listed = facts.suspects.filter((s) => !next.kind || s.kind === next.kind);
    if (listed.length && !listed.some((s) => s.suspect === next.suspect)) {
      next.suspect = listed[0].suspect; // the chosen one is always in the list
    }
    const within = (value, low, high, or) =>
      Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : or;
    next.delta_t = within(next.delta_t, lowestOf(facts), limits.highest, base.delta_t);
    next.delta_s = within(next.delta_s, limits.lowest, limits.highest, base.delta_s);
    next.mu = Math.round(within(next.mu, 0, limits.longest, base.mu));
    next.sample = String(next.sample ?? "");
    next.region = regionOf(String(next.region ?? "")) ? next.region : "";
    return next;
  }

  // ---- what there is to see

  root.replaceChildren();
  root.classList.add("dsi-explore");
  for (const [name, [color]] of Object.entries(looks)) {
    root.style.setProperty(`--${name.replaceAll(" ", "-")}`, color);
  }
  root.style.setProperty("--shared", colors["shared words"]);
  root.style.setProperty("--wrong", colors.wrong);

  const thresholds = make("div", { class: "settings", role: "group", "aria-label": "thresholds" });
  const filters = make("div", { class: "settings", role: "group", "aria-label": "filters" });
  const sliders = {};
  function slider(key, label, step, sentence) {
    const input = make("input", { type: "range", step, "aria-label": label, name: key });
    const output = make("output", { "aria-hidden": "true" }); // the slider itself says its value
    input.addEventListener("input", () => change({ [key]: Number(input.value) }));
    sliders[key] = { input, output };
    thresholds.append(tipped(make("label", { class: "slider" }, make("span", {}, label), input,
      output), sentence));
    input.setAttribute("aria-description", sentence);
  }
  slider("delta_t", "delta_t", 0.01,
    "A sample is tainted if its weakest gap is above this threshold (Eq. 1).");
  slider("delta_s", "delta_s", 0.01,
    "A tainted sample is positive if the suspect's evidence is above this threshold (Eq. 2).");
  slider("mu", "mu", 1, header.mu_counts
    ? "Answers of fewer bytes than this are dropped before the vote."
    : "The rule of the released code reads no mu, so this slider changes nothing.");
  const selects = {};
  function select(key, label, sentence) {
    const input = make("select", { "aria-label": label, name: key });
    input.addEventListener("change", () => change(key === "dataset"
      ? { ...start(input.value), delta_t: state.delta_t, delta_s: state.delta_s, mu: state.mu }
      : { [key]: input.value }));
    selects[key] = input;
    filters.append(tipped(make("label", {}, make("span", {}, label), input), sentence));
    input.setAttribute("aria-description", sentence);
  }
  select("dataset", "dataset", "Whose samples and suspects are shown.");
  select("category", "category", "Show and count samples of one category only.");
  select("reference", "reference",
    "Whose similarities the first view shows: of the reference that moved least, or of one.");
  select("status", "status", "Show only samples of this status; the votes stay as they are.");
  select("kind", "suspects", "List only suspects of one kind, and choose one of them.");
  function button(label, sentence, act) {
    const element = tipped(make("button", { type: "button" }, label), sentence);
    element.addEventListener("click", () => act(element));
    filters.append(element);
  }
  button("Reset", "Go back to the thresholds of the study, without filters and selection.",
    () => change(start(state.dataset)));
  button(source.linkLabel, source.linkSentence, copy);

  const summary = make("p", { class: "summary", role: "status" });
  const views = make("div", { class: "views" });
  const plots = new Map();
  for (const [name, title, sentence] of [
    ["similarity", "Similarity to the oracle", "Each mark is a sample: how closely a reference"
      + " answers the oracle before and after training on D; above the dashed line it is tainted."],
    ["gap", "Weakest gap", "The samples sorted by how much training moved the reference that moved"
      + " least; above the dashed line they are tainted."],
    ["evidence", "Evidence", "How much closer the chosen suspect's best answer is to the tuned"
      + " references; right of one line a sample is tainted, above the other it is positive."],
  ]) {
    const caption = tipped(make("figcaption", {}, title), sentence);
    const below = make("canvas"), above = make("canvas");
    const plot = make("div", { class: "plot", tabindex: 0, role: "application",
      "aria-roledescription": "plot of samples", "aria-label": title, "aria-description":
      `${sentence} Arrow keys go from sample to sample, Home and End to the first and the last,`
      + " with Shift they mark the region in between, Escape ends it." }, below, above);
    views.append(make("figure", { class: "view" }, caption, plot));
    plots.set(name, { name, plot, below, above, caption, title });
    listen(plots.get(name));
  }
  const spoken = make("p", { class: "spoken", "aria-live": "polite" });
  const legend = make("p", { class: "legend" });
  const pinned = make("div", { class: "pinned" });
  // its rows take the arrow keys: a browser would let Tab stop at it once more, as it scrolls
  const scrolled = make("div", { class: "scrolled", tabindex: -1 });
  const voteTitle = make("h3");
  const list = make("div", { class: "rows", role: "listbox", "aria-label": "suspects" }, pinned,
    scrolled);
  // no <section>: RISE takes each for a slide
  const suspects = make("div", { class: "suspects" }, tipped(voteTitle,
    "Positive against negative tainted samples of each suspect, the verdict of the majority, and"
    + " whether it is right."), list);
  const texts = make("div", { class: "texts", tabindex: 0, role: "region",
    "aria-label": "texts" });
  const hint = make("div", { class: "hint", hidden: "" });
  root.append(thresholds, filters, summary, views, legend,
    make("div", { class: "below" }, suspects, texts), hint, spoken);
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const rows = [...list.querySelectorAll("[role=option]")];
    const at = rows.findIndex((row) => row.dataset.suspect === state.suspect);
    const next = rows[Math.min(rows.length - 1, Math.max(0, at + step))];
    change({ suspect: next.dataset.suspect });
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  });

  function legendOf(voted) {
    const entry = (name, sign, color) => {
      const mark = make("i", {}, sign);
      mark.style.color = color;
      return make("span", {}, mark, name);
    };
    legend.replaceChildren(...(voted ? [
      entry("positive", "●", looks.positive[0]), entry("negative", "✕", looks.negative[0]),
      entry("filtered", "❘", colors.zero)] : [entry("tainted", "●", colors.tainted)]),
    entry("not tainted", "○", colors.zero), make("span", { class: "gap" },
      "Click a sample to read it; drag over a view to mark a region."));
  }

  // ---- numbers, as they come

  async function load(dataset) {
    const entry = byName.get(dataset);
    if (entry.loading) return;
    entry.loading = true;
    delete root.dataset.loaded;
    const { facts } = entry, n = facts.samples, r = facts.references.length;
    const bytes = await source.numbers(dataset, -1);
    const cut = (Type, begin, count) =>
      new Type(bytes.slice(begin, begin + count * Type.BYTES_PER_ELEMENT));
    entry.before = cut(Float32Array, 0, n * r);
    entry.after = cut(Float32Array, 4 * n * r, n * r);
    entry.minGaps = cut(Int16Array, 8 * n * r, n);
    entry.category = cut(Uint16Array, 8 * n * r + 2 * n, n);
    entry.ids = new TextDecoder().decode(bytes.slice(8 * n * r + 4 * n)).split("\n");
    entry.place = new Map(entry.ids.map((id, i) => [id, i]));
    entry.order = Uint32Array.from(entry.ids, (_, i) => i)
      .sort((a, b) => entry.minGaps[b] - entry.minGaps[a] || a - b);
    const every = [...entry.before, ...entry.after];
    entry.range = every.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [1, 0]);
    entry.answers = new Array(facts.suspects.length).fill(null);
    schedule();
    const first = facts.suspects.findIndex((s) => s.suspect === state.suspect);
    const rest = facts.suspects.map((_, i) => i).filter((i) => i !== first);
    for (const i of first < 0 ? rest : [first, ...rest]) {
      const packed = await source.numbers(dataset, i), count = n * facts.draws;
      entry.answers[i] = {
        draws: facts.draws,
        gaps: new Int16Array(packed.slice(0, 2 * count)),
        lengths: new Uint16Array(packed.slice(2 * count, 4 * count)),
      };
      schedule();
    }
    root.dataset.loaded = "true";
  }

  function evidence(i) {
    const answers = data.answers[i];
    return answers ? evidenceOf(answers, header.mu_counts ? state.mu : 0, codes) : null;
  }

  const chosen = () => data.facts.suspects.findIndex((s) => s.suspect === state.suspect);

  // ---- one drawing of everything

  function schedule() {
    if (!frame) frame = requestAnimationFrame(draw);
  }

  function draw() {
    frame = 0;
    data = byName.get(state.dataset);
    fill();
    if (!data.ids) {
      summary.textContent = "loading …";
      load(state.dataset);
      awaitTexts("");
      return;
    }
    if (!data.place.has(state.sample)) state.sample = data.ids[data.order[0]];
    const found = evidence(chosen()), n = data.facts.samples;
    const { inCategory, of } = coordinates(data, state, found, codes);
    const counted = inCategory.slice(), region = regionOf(state.region);
    if (region) {
      const { x, y } = of[region.view], { x0, x1, y0, y1 } = region;
      for (let i = 0; i < n; i++) {
        counted[i] &= x[i] >= x0 && x[i] <= x1 && y[i] >= y0 && y[i] <= y1;
      }
    }
    const deltaT = code(state.delta_t), deltaS = code(state.delta_s);
    const status = statusOf(data.minGaps, found, deltaT, deltaS, codes);
    const seen = inCategory.slice();
    if (state.status) {
      const wanted = STATUSES.indexOf(state.status);
      for (let i = 0; i < n; i++) {
        seen[i] &= wanted === UNASKED ? status[i] !== NOT_TAINTED : status[i] === wanted;
      }
    }
    drawn = { of, counted, status, seen, region, brushed: region ? counted : null, colors, colorOf,
      delta_t: state.delta_t, delta_s: state.delta_s };
    for (const plot of plots.values()) drawView(plot);
    drawAbove();
    const restricted = Boolean(region || state.category);
    vote(counted, deltaT, deltaS, restricted);
    say(counted, status, restricted);
    showTexts();
    root.dataset.drawn = Number(root.dataset.drawn || 0) + 1;
    if (found || !data.facts.suspects.length) tell(); // else a region of evidence is empty yet
  }

  function fill() {
    for (const [key, { input, output }] of Object.entries(sliders)) {
      const mu = key === "mu";
      input.min = mu ? 0
        : key === "delta_t" ? lowestOf(data.facts) : limits.lowest;
      input.max = mu ? limits.longest : limits.highest;
      if (Number(input.value) !== state[key]) input.value = state[key];
      output.textContent = mu ? `${state.mu} bytes`
        : state[key].toFixed(code(state[key]) % 100 ? 4 : 2);
      input.setAttribute("aria-valuetext", output.textContent);
    }
    const { facts } = data, voted = facts.suspects.length > 0;
    if (root.classList.toggle("unvoted", !voted) || !legend.childElementCount) legendOf(voted);
    const kinds = [...new Set(facts.suspects.map((s) => s.kind))];
    const options = {
      dataset: [...byName.keys()].map((name) => [name, name]),
      category: [["", "all"], ...facts.categories.filter(Boolean).map((name) => [name, name])],
      reference: [["", "moved least"], ...facts.references.map((name) => [name, name])],
      status: [["", "all"], ...(facts.suspects.length ? STATUSES : STATUSES.filter((name) =>
        name.endsWith("tainted"))).map((name) => [name, name])],
      kind: [["", "all kinds"], ...kinds.map((name) => [name, name])],
    };
    for (const [key, input] of Object.entries(selects)) {
      const wanted = JSON.stringify(options[key]);
      if (input.dataset.options !== wanted) {
        input.replaceChildren(...options[key].map(([value, label]) =>
          make("option", { value }, label)));
        input.dataset.options = wanted;
        const useless = key === "category" && facts.categories.length < 2
          || key === "dataset" && byName.size < 2 || key === "kind" && kinds.length < 2;
        input.parentElement.hidden = useless;
      }
      input.value = state[key];
      input.classList.toggle("set", key !== "dataset" && state[key] !== "");
    }
  }

  function say(counted, status, restricted) {
    const { facts } = data, counts = tally(status, counted);
    const n = counts.reduce((a, b) => a + b), tainted = n - counts[NOT_TAINTED];
    const words = [`${tainted.toLocaleString("en")} of ${plural(n, "sample")} `
      + `${restricted ? "in sight " : ""}${tainted === 1 ? "is" : "are"} tainted`];
    const i = chosen();
    if (data.answers[i]) {
      words.push(`${state.suspect}: ${counts[POSITIVE].toLocaleString("en")} positive, `
        + `${counts[NEGATIVE].toLocaleString("en")} negative`
        + (counts[FILTERED] ? `, ${counts[FILTERED].toLocaleString("en")} filtered` : ""));
    }
    if (restricted) words.push(`${facts.samples.toLocaleString("en")} samples in all`);
    const sentence = straight(`${words.join(" · ")}.`);
    if (summary.textContent !== sentence) summary.textContent = sentence;
    plots.get("evidence").caption.textContent = straight(`Evidence: ${state.suspect}`);
  }

  // ---- the votes

  function vote(counted, deltaT, deltaS, restricted) {
    const { facts } = data, key = `${state.dataset}|${state.kind}`;
    if (list.dataset.key !== key) {
      list.dataset.key = key;
      const shown = facts.suspects.map((s, i) => [s, i])
        .filter(([s]) => !state.kind || s.kind === state.kind);
      data.rows = shown.map(([suspect, i]) => row(suspect, i));
      pinned.replaceChildren(...data.rows.filter((r) => r.suspect.kind === "member")
        .map((r) => r.element));
      let last = "member";
      scrolled.replaceChildren(...data.rows.filter((r) => r.suspect.kind !== "member")
        .flatMap((r) => {
          const heads = r.suspect.kind === last ? [] : [kindHead(r.suspect.kind)];
          last = r.suspect.kind;
          return [...heads, r.element];
        }));
      if (pinned.childElementCount) pinned.prepend(kindHead("member"));
    }
    voteTitle.textContent = `${restricted ? "In sight" : "Tainted samples"}: positive, negative, `
      + "verdict";
    root.style.setProperty("--digits", facts.samples.toLocaleString("en").length);
    const voters = data.order.filter((i) => counted[i] && data.minGaps[i] > deltaT);
    for (const { suspect, i, element, bars, numbers, said } of data.rows) {
      const found = evidence(i);
      element.setAttribute("aria-selected", suspect.suspect === state.suspect);
      element.tabIndex = suspect.suspect === state.suspect ? 0 : -1;
      if (!found) {
        said.textContent = "…";
        continue;
      }
      const counts = votesOf(voters, found, deltaS, codes);
      const verdict = verdictOf(counts, header.tie);
      const votes = counts[POSITIVE] + counts[NEGATIVE];
      bars[0].style.width = `${votes ? 100 * counts[POSITIVE] / votes : 0}%`;
      bars[1].style.width = `${votes ? 100 * counts[NEGATIVE] / votes : 0}%`;
      numbers[0].textContent = counts[POSITIVE].toLocaleString("en");
      numbers[1].textContent = counts[NEGATIVE].toLocaleString("en");
      const truth = suspect.member === null ? "" : suspect.member ? "member" : "non-member";
      const open = verdict === "inconclusive"; // neither right nor wrong
      const mark = !truth ? "" : open ? " –" : verdict === truth ? " ✓" : " ✗";
      said.textContent = verdict + mark;
      said.classList.toggle("open", open);
      said.classList.toggle("wrong", mark === " ✗");
      Object.assign(element.dataset, { positive: counts[POSITIVE], negative: counts[NEGATIVE],
        filtered: counts[FILTERED], verdict });
      element.title = straight(`${suspect.suspect} (${suspect.kind}): `
        + `${counts[POSITIVE]} positive, ${counts[NEGATIVE]} negative, `
        + `${counts[FILTERED]} filtered; ${verdict}${truth ? `, in truth ${truth}` : ""}`);
    }
  }

  function kindHead(kind) {
    const mark = make("i");
    mark.style.background = looks[kind][0];
    return make("div", { class: "kind", role: "presentation" }, mark, kind);
  }

  function row(suspect, i) {
    const bars = [make("b", { class: "positive" }), make("b", { class: "negative" })];
    const numbers = [make("span", { class: "count" }), make("span", { class: "count" })];
    const said = make("span", { class: "verdict" }), mark = make("i");
    mark.style.background = looks[suspect.kind][0];
    const element = make("div", { class: "row", role: "option", "data-suspect": suspect.suspect,
      "data-kind": suspect.kind }, mark, make("span", { class: "name" }, suspect.suspect),
    numbers[0], make("span", { class: "bar" }, ...bars), numbers[1], said);
    element.addEventListener("click", () => change({ suspect: suspect.suspect }));
    return { suspect, i, element, bars, numbers, said };
  }

  // ---- pictures

  const colorOf = (status) => status === UNASKED ? colors.tainted
    : status === NOT_TAINTED || status === FILTERED ? colors.zero : looks[STATUSES[status]][0];

  const scales = (plot) => scalesOf(plot.plot, drawn.of[plot.name]);

  function drawView(plot) {
    const { pen, width } = sized(plot.below, plot.plot);
    if (width < 60) return;
    const view = drawn.of[plot.name], scale = scales(plot);
    axes(pen, view, scale);
    pen.save();
    pen.beginPath();
    pen.rect(MARGIN.left, MARGIN.top, scale.width, scale.height);
    pen.clip();
    const { seen, counted } = drawn;
    let total = 0, inside = 0;
    for (let i = 0; i < seen.length; i++) if (seen[i]) { total++; inside += counted[i]; }
    if (total > MANY) cells(pen, view, scale, drawn, inside > MANY);
    if (total <= MANY || inside <= MANY) dots(pen, view, scale, drawn, total > MANY);
    lines(pen, plot.name, view, scale, drawn);
    pen.restore();
    plot.cells = total > MANY && inside > MANY;
    plot.plot.dataset.drawn = plot.cells ? "cells" : "dots";
  }

  /** What moves with the pointer: rings, and the region. */
  function drawAbove() {
    const selected = data.place.get(state.sample);
    for (const plot of plots.values()) {
      const { pen, width } = sized(plot.above, plot.plot);
      if (width < 60) continue;
      const scale = scales(plot), { x, y } = drawn.of[plot.name];
      const box = drag && drag.moved ? { ...drag.box, view: drag.plot.name } : drawn.region;
      if (box && box.view === plot.name) {
        pen.fillStyle = "rgba(0, 0, 0, 0.06)";
        pen.strokeStyle = "#333";
        pen.lineWidth = 1;
        const px = scale.x(box.x0), py = scale.y(box.y1);
        pen.fillRect(px, py, scale.x(box.x1) - px, scale.y(box.y0) - py);
        pen.strokeRect(px, py, scale.x(box.x1) - px, scale.y(box.y0) - py);
      }
      for (const [i, thick] of [[selected, 2.5], [hovered, 1.5]]) {
        if (i < 0 || Number.isNaN(x[i]) || Number.isNaN(y[i])) continue;
        pen.beginPath();
        pen.arc(scale.x(x[i]), scale.y(y[i]), 7.5, 0, 2 * Math.PI);
        pen.strokeStyle = "#fff";
        pen.lineWidth = thick + 2;
        pen.stroke();
        pen.strokeStyle = "#000";
        pen.lineWidth = thick;
        pen.stroke();
      }
    }
  }

  // ---- the pointer and the keyboard

  function nearest(plot, px, py) {
    const scale = scales(plot), { x, y } = drawn.of[plot.name], { seen } = drawn;
    let best = -1, least = NEAR * NEAR;
    for (let i = 0; i < x.length; i++) {
      if (!seen[i]) continue;
      const dx = scale.x(x[i]) - px, dy = scale.y(y[i]) - py, far = dx * dx + dy * dy;
      if (far < least) { least = far; best = i; }
    }
    return best;
  }

  function listen(plot) {
    let anchor = -1; // the sample where a region began that keys mark
    const at = (event) => {
      const box = plot.plot.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    plot.plot.addEventListener("pointerdown", (event) => {
      if (event.button || !drawn) return;
      const [px, py] = at(event);
      drag = { plot, px, py, moved: false, box: null };
      plot.plot.setPointerCapture(event.pointerId);
    });
    plot.plot.addEventListener("pointermove", (event) => {
      if (!drawn) return;
      const [px, py] = at(event);
      if (!drag) {
        hover(plot, nearest(plot, px, py), event);
        return;
      }
      if (Math.hypot(px - drag.px, py - drag.py) > 4) drag.moved = true;
      if (!drag.moved) return;
      hover(plot, -1, event);
      const scale = scales(plot);
      const xs = [scale.xOf(drag.px), scale.xOf(px)].sort((a, b) => a - b);
      const ys = [scale.yOf(drag.py), scale.yOf(py)].sort((a, b) => a - b);
      drag.box = { x0: xs[0], x1: xs[1], y0: ys[0], y1: ys[1] };
      change({ region: regionText(plot.name, xs, ys) });
    });
    plot.plot.addEventListener("pointerup", (event) => {
      if (!drag) return;
      const { moved } = drag;
      drag = null;
      if (moved) {
        schedule();
        return;
      }
      const i = nearest(plot, ...at(event));
      if (i >= 0) change({ sample: data.ids[i] });
      else change({ region: "" });
    });
    plot.plot.addEventListener("pointercancel", () => { drag = null; });
    plot.plot.addEventListener("pointerleave", (event) => drawn && hover(plot, -1, event));
    plot.plot.addEventListener("blur", () => { anchor = -1; });
    plot.plot.addEventListener("keydown", (event) => {
      if (!drawn) return;
      if (event.key === "Escape") {
        anchor = -1;
        change({ region: "" });
        return;
      }
      const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1,
        Home: -Infinity, End: Infinity }[event.key];
      if (!step) return;
      event.preventDefault();
      const { x, y } = drawn.of[plot.name];
      const along = event.key === "ArrowUp" || event.key === "ArrowDown" ? y : x;
      const marks = event.shiftKey; // beyond the region at hand, too
      const places = [...data.ids.keys()].filter((i) => drawn.seen[i] && (marks || drawn.counted[i])
        && !Number.isNaN(x[i]) && !Number.isNaN(y[i])).sort((a, b) => along[a] - along[b] || a - b);
      if (!places.length) return;
      const now = places.indexOf(data.place.get(state.sample));
      const to = now < 0 && step !== Infinity ? 0 : now + step;
      const next = places[Math.min(places.length - 1, Math.max(0, to))];
      if (!marks) anchor = -1;
      else if (anchor < 0) anchor = now < 0 ? next : places[now];
      const ends = (values) =>
        [Math.min(values[anchor], values[next]) - EDGE, Math.max(values[anchor], values[next]) + EDGE];
      change({ sample: data.ids[next],
        ...(marks && { region: regionText(plot.name, ends(x), ends(y)) }) });
    });
  }

  async function hover(plot, i, event) {
    const before = hovered;
    hovered = i;
    if (i !== before) drawAbove();
    hint.hidden = i < 0;
    if (i < 0) return;
    place(event);
    if (i === before) return;
    const one = codes.per_one, found = evidence(chosen());
    const numbers = [`weakest gap ${signed(data.minGaps[i] / one)}`];
    if (found && found[i] > codes.dropped) numbers.push(`evidence ${signed(found[i] / one)}`);
    numbers.push(STATUSES[drawn.status[i]]);
    const title = make("strong", {}, numbers.join(" · "));
    hint.replaceChildren(title, "…");
    clearTimeout(lateHint);
    lateHint = setTimeout(() => hint.replaceChildren(title, make("p", {}, source.lateTexts)), SOON);
    const said = await textsOf(i);
    if (hovered !== i) return;
    clearTimeout(lateHint);
    hint.replaceChildren(title);
    const line = (name, text) => hint.append(make("p", {}, make("em", {}, `${name} `),
      text === "" ? "(empty)" : text.length > 170 ? `${text.slice(0, 170)} …` : text));
    if (!said) {
      line("texts", "not in this page");
    } else {
      line("prompt", said.prompt);
      line("oracle", said.oracle);
      const [first] = said.suspects[state.suspect] || [];
      if (first) line(state.suspect, first[1]);
    }
    place(event);
  }

  /** Beside the pointer, within the explorer. */
  function place(event) {
    const box = root.getBoundingClientRect();
    const left = event.clientX - box.left, top = event.clientY - box.top;
    const wide = hint.offsetWidth, high = hint.offsetHeight;
    const beside = left + 16 + wide > box.width ? left - wide - 16 : left + 16;
    hint.style.left = `${Math.max(4, beside)}px`;
    hint.style.top = `${Math.max(4, Math.min(top + 14, box.height - high - 6))}px`;
  }

  // ---- the texts of one sample

  /** The texts of sample i; what has not come soon is asked for again when it is wanted again. */
  function textsOf(i) {
    const kept = data.texts;
    if (!kept.has(i)) {
      if (kept.size > 500) kept.clear();
      const asked = source.texts(state.dataset, i);
      kept.set(i, asked);
      const forget = setTimeout(() => kept.delete(i), SOON);
      asked.then(() => { clearTimeout(forget); kept.set(i, asked); });
    }
    return kept.get(i);
  }

  /** From now on the panel waits for texts, and soon no longer shows those of another sample. */
  function awaitTexts(key) {
    wantedTexts = key;
    late ||= setTimeout(() => texts.replaceChildren(make("p", { class: "none" },
      source.lateTexts)), SOON);
  }

  async function showTexts() {
    const i = data.place.get(state.sample), who = chosen();
    const own = data.answers[who], n = own ? own.draws : 0;
    const long = n ? own.lengths.slice(i * n, (i + 1) * n).map((bytes) => bytes >= state.mu) : [];
    const key = [state.dataset, i, who, drawn.status[i], ...long].join(); // all that they depend on
    if (key === wantedTexts) return;
    awaitTexts(key);
    const said = await textsOf(i);
    if (key !== wantedTexts) return;
    clearTimeout(late);
    late = 0;
    if (!said) {
      texts.replaceChildren(make("p", { class: "none" }, source.noTexts));
      return;
    }
    texts.replaceChildren(...readable(said, i, drawn.status[i], who, own, data, state, header));
    texts.scrollTop = 0;
    spoken.textContent = straight(`${said.prompt} ${STATUSES[drawn.status[i]]}`);
  }

  // ---- changes, and who hears of them

  function change(patch) {
    state = valid({ ...state, ...patch });
    schedule();
  }

  let telling = 0, lastTold = "";
  function tell() {
    clearTimeout(telling);
    telling = setTimeout(() => {
      const text = toText(state);
      if (text === lastTold) return;
      lastTold = text;
      told(state, drawn.brushed, data);
    }, 120);
  }

  async function copy(element) {
    const text = source.link(toText(state)), label = source.linkLabel;
    try {
      await navigator.clipboard.writeText(text);
      element.textContent = "copied";
    } catch {
      const field = make("input", { value: text, readonly: "", "aria-label": "the link" });
      element.after(field);
      field.select();
      element.textContent = "copy it from here";
      field.addEventListener("blur", () => field.remove());
    }
    setTimeout(() => { element.textContent = label; }, 2500);
  }

  // JupyterLab takes keys before any element does, unless the element says so; but its own
  // shortcuts (Ctrl+S) must go on working. Listeners of the window come first of all.
  const keys = (event) => {
    if (!root.contains(event.target)) return;
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    event.target.toggleAttribute("data-lm-suppress-shortcuts", plain);
  };
  window.addEventListener("keydown", keys, true);
  root.addEventListener("keydown", (event) => { // RISE turns slides at these
    const space = event.key === " " && event.target.matches("button, select");
    if (space || /^(Arrow.*|Home|End)$/.test(event.key)) event.stopPropagation();
  });
  const sizes = new ResizeObserver(() => schedule());
  for (const { plot } of plots.values()) sizes.observe(plot);

  state = valid(given);
  schedule();
  return {
    set: (wanted) => { state = valid(wanted); lastTold = ""; schedule(); },
    text: () => toText(state),
    close: () => {
      window.removeEventListener("keydown", keys, true);
      sizes.disconnect();
      clearTimeout(late);
      clearTimeout(lateHint);
      cancelAnimationFrame(frame);
    },
  };
}
