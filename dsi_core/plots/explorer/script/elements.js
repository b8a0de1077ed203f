// Elements of a page, and numbers in words. Text is only ever put into text nodes.

/** A text with what turns the direction of writing spelled out, as in `plots.tables.straight`. */
const straight = (text) => text.replace(/[\u202a-\u202e\u2066-\u2069]/g,
  (turn) => `\\u${turn.charCodeAt(0).toString(16)}`);

/** An element; strings among its children become text nodes, never markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.map((child) => typeof child === "string" ? straight(child) : child));
  return element;
}

/** A control with its one sentence, for the pointer and for those who do not see it. */
function tipped(element, sentence) {
  element.setAttribute("title", sentence);
  element.setAttribute("aria-description", sentence);
  return element;
}

const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(3);
const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
