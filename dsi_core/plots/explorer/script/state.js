// What an explorer shows, as text: in a link, or to be copied.

const VIEWS = ["similarity", "gap", "evidence"];
const KEYS = ["dataset", "suspect", "sample", "delta_t", "delta_s", "mu", "reference", "category",
  "kind", "status", "region"];
const NUMBERS = ["delta_t", "delta_s", "mu"];

function toText(state) {
  const given = KEYS.filter((key) => state[key] !== "").map((key) => [key, String(state[key])]);
  return new URLSearchParams(given).toString();
}

function fromText(text) {
  const state = {};
  for (const [key, value] of new URLSearchParams(text)) {
    if (KEYS.includes(key)) state[key] = NUMBERS.includes(key) ? Number(value) : value;
  }
  return state;
}

const regionText = (view, xs, ys) =>
  `${view}:${[...xs, ...ys].map((v) => v.toFixed(4)).join(",")}`;

/** A region in view coordinates, as `regionText` writes it, or null. */
function regionOf(text) {
  const [view, numbers = ""] = text.split(":");
  const [x0, x1, y0, y1] = numbers.split(",").map(Number);
  return VIEWS.includes(view) && Number.isFinite(x0 + x1 + y0 + y1)
    ? { view, x0, x1, y0, y1 } : null;
}
