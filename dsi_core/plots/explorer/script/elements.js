// Elements of a page, and numbers in words. Text is only ever put into text nodes.

/** An element; strings among its children become text nodes, never markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children);
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
