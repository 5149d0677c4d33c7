"use strict";
/** An element with attributes and children; text is never read as markup. */
function make(tag, attributes = {}, ...children) {
  const isSvg = ["svg", "g", "rect", "text", "path", "title", "line"].includes(tag);
  const element = isSvg
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") element.addEventListener("click", value);
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function bytes(n) {
  const units = ["B", "KB", "MB", "GB"];
  let k = 0;
  while (n >= 1000 && k < 3) { n /= 1000; k++; }
  return `${k ? n.toPrecision(3) : n} ${units[k]}`;
}

/** Kernels by intensity and speed, both logarithmic; the line of each ends at its roofline. */
function roofline(names, kernels) {
  const width = 760, height = 360, margin = 50;
  const points = names.map((name) => ({ name, ...kernels[name] }))
    .filter((t) => t.mflop > 0 && t.mbytes > 0 && t.ms > 0 && t.floor_ms > 0)
    .map((t) => ({ name: t.name, x: Math.log10(t.mflop / t.mbytes), y: Math.log10(t.mflop / t.ms),
      roof: Math.log10(t.mflop / t.floor_ms) }));
  const span = (values) => [Math.floor(Math.min(0, ...values)), Math.ceil(Math.max(1, ...values))];
  const [x0, x1] = span(points.map((p) => p.x));
  const [y0, y1] = span(points.flatMap((p) => [p.y, p.roof]));
  const at = (x, y) => [margin + ((x - x0) / (x1 - x0)) * (width - 2 * margin),
    height - margin - ((y - y0) / (y1 - y0)) * (height - 2 * margin)];
  const svg = make("svg", { width, height, id: "roofline" });
  for (let k = x0; k <= x1; k++)
    svg.append(make("text", { x: at(k, y0)[0], y: height - 25 }, String(10 ** k)));
  for (let k = y0; k <= y1; k++)
    svg.append(make("text", { x: 4, y: at(x0, k)[1] }, String(10 ** k)));
  svg.append(make("text", { x: width / 3, y: height - 6 }, "multiplications and additions per byte"),
    make("text", { x: 4, y: 14 }, "GFLOP/s, and what the machine allows"));
  for (const p of points) {
    const [x, y] = at(p.x, p.y), [, top] = at(p.x, p.roof);
    svg.append(make("line", { x1: x, y1: y, x2: x, y2: top, stroke: "currentColor", "stroke-opacity": 0.4 }),
      make("rect", { x: x - 6, y: top - 1, width: 12, height: 2, fill: "currentColor", stroke: "none" }),
      make("rect", { x: x - 4, y: y - 4, width: 8, height: 8, fill: "hsl(210 70% 55%)", stroke: "none" },
        make("title", {}, p.name)));
  }
  return svg;
}

/** Launches in layers, and what flows between them. */
function graphOf({ nodes, edges }) {
  const layers = [];
  nodes.forEach((node, k) => (layers[node.layer] ||= []).push(k));
  const WIDTH = 210, HEIGHT = 30, ROW = 62, COLUMN = 230;
  const place = {};
  layers.filter(Boolean).forEach((ids, y) => ids.forEach((k, x) =>
    (place[k] = { x: 20 + x * COLUMN, y: 20 + y * ROW })));
  const columns = Math.max(1, ...layers.filter(Boolean).map((ids) => ids.length));
  const svg = make("svg", { width: columns * COLUMN + 40,
    height: layers.filter(Boolean).length * ROW + 40 });
  for (const edge of edges) {
    const a = place[edge.source], b = place[edge.target];
    const [x1, y1, x2, y2] = [a.x + WIDTH / 2, a.y + HEIGHT, b.x + WIDTH / 2, b.y];
    svg.append(make("path", { d: `M${x1},${y1} C${x1},${y1 + 22} ${x2},${y2 - 22} ${x2},${y2}` },
      make("title", {}, bytes(edge.bytes))));
  }
  nodes.forEach((node, k) => {
    const { x, y } = place[k];
    const label = node.name.length > 30 ? `${node.name.slice(0, 29)}\u2026` : node.name;
    const group = make("g", { class: `node ${node.kind}` },
      make("rect", { x, y, width: WIDTH, height: HEIGHT, rx: 6 }),
      make("text", { x: x + 10, y: y + 20 }, label), make("title", {}, node.name));
    if (node.kind === "kernel") group.addEventListener("click", () => open(`kernel/${node.name}`));
    svg.append(group);
  });
  return svg;
}

/** Buffers of the arena: bytes downwards, launches to the right. */
function arenaOf({ arena, intervals }) {
  const count = Math.max(1, ...intervals.map((i) => i.last + 1));
  const width = Math.max(700, Math.min(count * 14, 6000)), height = 420;
  const svg = make("svg", { width: width + 20, height: height + 20 });
  intervals.forEach((i, k) => {
    const x = 10 + (i.first / count) * width, w = ((i.last - i.first + 1) / count) * width;
    const y = 10 + (i.offset / Math.max(1, arena)) * height;
    const h = Math.max(1, (i.bytes / Math.max(1, arena)) * height);
    svg.append(make("rect", { x, y, width: w, height: h, fill: `hsl(${(k * 67) % 360} 55% 58%)`,
      "fill-opacity": 0.8, stroke: "none" },
    make("title", {}, `${i.writer}: ${bytes(i.bytes)} at ${i.offset}, launches ${i.first} to ${i.last}`)));
  });
  return svg;
}

/** Speed over the default schedule, measurement by measurement, and the best so far. */
function tuningCurve({ speedups, failures }) {
  const width = 760, height = 260, margin = 46;
  const most = Math.max(1.1, ...speedups.filter((s) => s !== null));
  const at = (k, s) => [margin + ((k + 1) / (speedups.length + 1)) * (width - 2 * margin),
    height - margin - (s / most) * (height - 2 * margin)];
  const svg = make("svg", { width, height, class: "curve" });
  for (const s of [0, 1, most])
    svg.append(make("line", { x1: margin, y1: at(0, s)[1], x2: width - margin, y2: at(0, s)[1],
      class: "axis" }), make("text", { x: 4, y: at(0, s)[1] + 4 }, s.toPrecision(3)));
  let best = 1, path = "";
  speedups.forEach((s, k) => {
    best = Math.max(best, s ?? 0);
    const [x, y] = at(k, s ?? 0);
    svg.append(make("rect", { x: x - 2, y: y - 2, width: 4, height: 4, stroke: "none",
      fill: s === null ? "var(--bad)" : "hsl(210 70% 55%)" },
    make("title", {}, s === null ? failures[k] : s.toPrecision(3))));
    path += `${k ? "L" : "M"}${x},${at(k, best)[1]} `;
  });
  svg.append(make("path", { d: path }),
    make("text", { x: width / 3, y: height - 8 }, `${speedups.length} schedules, in the order measured`));
  return svg;
}

/** What each feature multiplies the roofline's time by: longer to the right, shorter to the left. */
function contributions({ base, terms, rest }) {
  const rows = [["what all kernels share", null, base], ...terms, ["the other features", null, rest]];
  const row = 24, width = 760, center = 480, reach = 220;
  const most = Math.max(0.05, ...rows.map(([, , share]) => Math.abs(share)));
  const svg = make("svg", { width, height: rows.length * row + 10, class: "terms" });
  rows.forEach(([name, value, share], k) => {
    const w = (Math.abs(share) / most) * reach, y = 5 + k * row;
    svg.append(make("text", { x: 4, y: y + 15 }, value === null ? name : `${name} = ${value.toPrecision(3)}`),
      make("rect", { x: share < 0 ? center - w : center, y: y + 3, width: Math.max(1, w), height: row - 8,
        stroke: "none", fill: share < 0 ? "var(--good)" : "var(--bad)" },
      make("title", {}, `${name}: x ${Math.exp(share).toPrecision(3)}`)));
  });
  svg.append(make("line", { x1: center, y1: 0, x2: center, y2: rows.length * row + 10, class: "axis" }));
  return svg;
}
