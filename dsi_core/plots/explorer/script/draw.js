// How the explorer draws: axes, lines, and samples as dots or, where there are many, as cells.
// A view says where its samples lie (x, y, xs, ys, labels), a scene what they are (seen, counted,
// status).

const CELL = 6; // pixels
const MARGIN = { left: 44, right: 10, top: 8, bottom: 34 };

const plain = (value, digits) =>
  value.toFixed(digits).replace(/^-(?=.*[1-9])/, "−").replace("-", ""); // no minus before a zero

/** Marks of an axis: at round numbers, about as many as asked for. */
function ticks(low, high, about) {
  const raw = (high - low) / about, unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((f) => f * unit).find((s) => s >= raw);
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high + 1e-9; k++) found.push(k * step);
  return { found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

/** A canvas of its element's size, cleared: pen and size in pixels of the page. */
function sized(canvas, plot) {
  const width = plot.clientWidth, height = plot.clientHeight, ratio = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

/** From a view's numbers to pixels of its element, and back. */
function scalesOf(element, { xs, ys }) {
  const width = element.clientWidth - MARGIN.left - MARGIN.right;
  const height = element.clientHeight - MARGIN.top - MARGIN.bottom;
  return {
    x: (v) => MARGIN.left + (v - xs[0]) / (xs[1] - xs[0]) * width,
    y: (v) => MARGIN.top + (ys[1] - v) / (ys[1] - ys[0]) * height,
    xOf: (px) => xs[0] + (px - MARGIN.left) / width * (xs[1] - xs[0]),
    yOf: (px) => ys[1] - (px - MARGIN.top) / height * (ys[1] - ys[0]),
    width, height,
  };
}

function axes(pen, { xs, ys, labels, whole }, scale) {
  const right = MARGIN.left + scale.width, bottom = MARGIN.top + scale.height;
  pen.font = "11px system-ui, sans-serif";
  pen.lineWidth = 1;
  const x = ticks(...xs, scale.width / 60), y = ticks(...ys, scale.height / 32);
  pen.strokeStyle = "#e8e8e8";
  pen.fillStyle = "#444";
  pen.beginPath();
  pen.textAlign = "center";
  pen.textBaseline = "top";
  for (const v of x.found) {
    if (whole && (v < 1 || v % 1)) continue;
    pen.moveTo(scale.x(v), MARGIN.top);
    pen.lineTo(scale.x(v), bottom);
    pen.fillText(whole ? v.toLocaleString("en") : plain(v, x.digits), scale.x(v), bottom + 4);
  }
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (const v of y.found) {
    pen.moveTo(MARGIN.left, scale.y(v));
    pen.lineTo(right, scale.y(v));
    pen.fillText(plain(v, y.digits), MARGIN.left - 5, scale.y(v));
  }
  pen.stroke();
  pen.strokeStyle = "#999";
  pen.strokeRect(MARGIN.left, MARGIN.top, scale.width, scale.height);
  pen.textAlign = "center";
  pen.textBaseline = "bottom";
  pen.fillText(labels[0], MARGIN.left + scale.width / 2, bottom + MARGIN.bottom - 1);
  pen.save();
  pen.translate(11, MARGIN.top + scale.height / 2);
  pen.rotate(-Math.PI / 2);
  pen.textBaseline = "middle";
  pen.fillText(labels[1], 0, 0);
  pen.restore();
}

/** Where the thresholds lie, dashed, and where nothing changed. */
function lines(pen, name, { xs, ys }, scale, { delta_t, delta_s, colors }) {
  const line = (x0, y0, x1, y1, dashed = true) => {
    pen.setLineDash(dashed ? [6, 4] : []);
    pen.strokeStyle = dashed ? colors.line : colors.zero;
    pen.lineWidth = dashed ? 1.3 : 1;
    pen.beginPath();
    pen.moveTo(scale.x(x0), scale.y(y0));
    pen.lineTo(scale.x(x1), scale.y(y1));
    pen.stroke();
    pen.setLineDash([]);
  };
  if (name === "similarity") {
    line(xs[0], xs[0], xs[1], xs[1], false);
    line(xs[0], xs[0] + delta_t, xs[1], xs[1] + delta_t);
  } else if (name === "gap") {
    line(xs[0], 0, xs[1], 0, false);
    line(xs[0], delta_t, xs[1], delta_t);
  } else {
    line(delta_t, ys[0], delta_t, ys[1]);
    line(xs[0], delta_s, xs[1], delta_s);
  }
}

/** Density of many samples: the colour of most in a cell, stronger where there are more. */
function cells(pen, { x, y }, scale, scene, colored) {
  const { seen, counted, status } = scene;
  const across = Math.ceil(scale.width / CELL), down = Math.ceil(scale.height / CELL);
  const counts = new Uint32Array(across * down * 5), outside = new Uint8Array(across * down);
  for (let i = 0; i < x.length; i++) {
    if (!seen[i] || Number.isNaN(y[i]) || Number.isNaN(x[i])) continue;
    const column = Math.floor((scale.x(x[i]) - MARGIN.left) / CELL);
    const line = Math.floor((scale.y(y[i]) - MARGIN.top) / CELL);
    if (column < 0 || line < 0 || column >= across || line >= down) continue;
    if (colored && counted[i]) counts[(line * across + column) * 5 + status[i]]++;
    else outside[line * across + column] = 1;
  }
  let most = 1;
  for (let k = 0; k < counts.length; k++) if (counts[k] > most) most = counts[k];
  for (let cell = 0; cell < outside.length; cell++) {
    let winner = 0, total = 0;
    for (let s = 0; s < 5; s++) {
      total += counts[cell * 5 + s];
      if (counts[cell * 5 + s] > counts[cell * 5 + winner]) winner = s;
    }
    if (!total && !outside[cell]) continue;
    pen.globalAlpha = total ? 0.25 + 0.75 * Math.log1p(total) / Math.log1p(most) : 1;
    pen.fillStyle = total ? scene.colorOf(winner) : "#ececec";
    pen.fillRect(MARGIN.left + cell % across * CELL,
      MARGIN.top + Math.floor(cell / across) * CELL, CELL - 0.5, CELL - 0.5);
  }
  pen.globalAlpha = 1;
}

/** Each sample by itself; insideOnly: only those that count. */
function dots(pen, { x, y }, scale, scene, insideOnly) {
  const { seen, counted, status } = scene;
  const radius = seen.length > 500 ? 2.5 : 4;
  for (const of of [NOT_TAINTED, UNASKED, FILTERED, NEGATIVE, POSITIVE]) {
    for (const inside of insideOnly ? [1] : [0, 1]) {
      pen.globalAlpha = inside ? 0.85 : 0.18;
      pen.strokeStyle = pen.fillStyle = scene.colorOf(of);
      pen.lineWidth = of === NEGATIVE ? 1.8 : 1.2;
      pen.beginPath();
      for (let i = 0; i < x.length; i++) {
        if (status[i] !== of || !seen[i] || counted[i] !== inside) continue;
        const px = scale.x(x[i]), py = scale.y(y[i]);
        if (Number.isNaN(px) || Number.isNaN(py)) continue;
        if (of === NEGATIVE) {
          const h = radius * 0.8;
          pen.moveTo(px - h, py - h);
          pen.lineTo(px + h, py + h);
          pen.moveTo(px - h, py + h);
          pen.lineTo(px + h, py - h);
        } else if (of === FILTERED) {
          pen.moveTo(px, py - radius);
          pen.lineTo(px, py + radius);
        } else {
          pen.moveTo(px + radius, py);
          pen.arc(px, py, radius, 0, 2 * Math.PI);
        }
      }
      if (of === POSITIVE || of === UNASKED) pen.fill();
      else pen.stroke();
    }
  }
  pen.globalAlpha = 1;
}
