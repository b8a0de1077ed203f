// Where the explorer lives: in a notebook, which asks a kernel for numbers and texts, or in a page,
// which holds them.

function render({ model, el }) {
  const waiting = new Map();
  const asked = (key, message) => new Promise((resolve) => {
    waiting.set(key, [...(waiting.get(key) || []), resolve]);
    model.send({ key, ...message });
  });
  const answered = ({ key, ...content }, buffers) => {
    for (const resolve of waiting.get(key) || []) resolve({ content, buffers });
    waiting.delete(key);
  };
  model.on("msg:custom", answered);
  const source = {
    header: model.get("header"),
    linkLabel: "Copy state",
    linkSentence: "Copy thresholds, filters and selection as text, for the explorer's `state`.",
    noTexts: "There are no texts of this sample.",
    lateTexts: "Loading the texts (the kernel is busy; if it was restarted, run this cell again).",
    link: (text) => text,
    numbers: async (dataset, suspect) => {
      const { buffers } = await asked(`numbers ${dataset} ${suspect}`, { dataset, suspect });
      const view = buffers[0]; // a copy: it may not begin at a whole number
      return view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
    },
    texts: async (dataset, sample) =>
      (await asked(`texts ${dataset} ${sample}`, { dataset, sample })).content.texts,
  };
  let own = "";
  const told = (state, brushed, data) => {
    own = JSON.stringify(state);
    const places = brushed ? Uint32Array.from(brushed.keys()).filter((i) => brushed[i]) : [];
    model.set("state", { ...state });
    model.set("brushed", new DataView(Uint32Array.from(places).buffer));
    model.save_changes();
  };
  const explorer = explore(el, source, model.get("state"), told);
  const moved = () => {
    if (JSON.stringify(model.get("state")) !== own) explorer.set(model.get("state"));
  };
  model.on("change:state", moved);
  return () => {
    model.off("change:state", moved);
    model.off("msg:custom", answered);
    explorer.close();
  };
}

function page() {
  const read = (id) => document.getElementById(id).textContent;
  const header = JSON.parse(read("header")), { within } = header;
  const unpacked = async (id) => {
    const packed = atob(read(id)), bytes = new Uint8Array(packed.length);
    for (let k = 0; k < bytes.length; k++) bytes[k] = packed.charCodeAt(k);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  };
  const chunks = new Map();
  const chunk = (id) => {
    if (!chunks.has(id)) {
      chunks.set(id, unpacked(id).then((b) => JSON.parse(new TextDecoder().decode(b))));
    }
    return chunks.get(id);
  };
  const places = within.samples.map((order) => new Map(order.map((sample, at) => [sample, at])));
  const number = (dataset) => header.datasets.findIndex((facts) => facts.name === dataset);
  const source = {
    header,
    linkLabel: "Copy link",
    linkSentence: "Copy a link to this page with its thresholds, filters and selection.",
    noTexts: within.none,
    lateTexts: "Loading the texts.",
    link: (text) => `${location.href.split("#")[0]}#${text}`,
    numbers: (dataset, suspect) => unpacked(`numbers-${number(dataset)}-${suspect}`),
    texts: async (dataset, sample) => {
      const d = number(dataset), at = places[d].get(sample);
      if (at === undefined) return null;
      const lines = await chunk(`texts-${d}-${Math.floor(at / within.chunk)}`);
      return lines[at % within.chunk];
    },
  };
  let own = "";
  const explorer = explore(document.getElementById("explorer"), source,
    fromText(location.hash.slice(1)), (state) => {
      own = toText(state);
      history.replaceState(null, "", `#${own}`);
    });
  addEventListener("hashchange", () => {
    if (location.hash.slice(1) !== own) explorer.set(fromText(location.hash.slice(1)));
  });
}

export default { render };
