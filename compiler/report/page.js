"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const main = document.querySelector("main");

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

function number(value) {
  return typeof value === "number" ? value.toPrecision(3) : "";
}

function table(header, rows) {
  const numeric = header.map((title) => title.startsWith("#"));
  const cell = (tag, k, content) =>
    make(tag, numeric[k] ? { class: "number" } : {}, content);
  return make("table", {},
    make("thead", {}, make("tr", {},
      ...header.map((title, k) => cell("th", k, title.replace("#", ""))))),
    make("tbody", {}, ...rows.map((row) =>
      make("tr", row.open ? { class: "link", onclick: row.open } : {},
        ...row.cells.map((content, k) => cell("td", k, content))))));
}

function shape(t) {
  return `${t.dtype}[${t.shape.join(", ")}]`;
}

function verdict(row) {
  if (!row) return make("span", { class: "muted" }, "not verified");
  const ok = row.margin <= 1;
  return make("span", { class: ok ? "good" : "bad" }, ok ? "ok" : "MISMATCH");
}

function errors(row) {
  return row ? [number(row.max_abs), number(row.eager_abs), number(row.margin)] : ["", "", ""];
}

function showOverview() {
  const o = data.overview;
  const facts = [
    ["target", o.target], ["levels in the package", o.levels.join(", ")], ["compiler", o.compiler],
    ["threads", o.threads], ["weights", `${o.weights} arrays, ${bytes(o.weight_bytes)}`],
    ["arena", `${bytes(data.memory.arena)} (no plan can go below ${bytes(data.memory.lower_bound)})`],
    ["kernels", `${data.kernels.length} unique, ${launches()} launches`], ["tilecast", o.version],
  ];
  main.replaceChildren(
    make("h2", {}, "Package"),
    table(["", ""], facts.map(([name, value]) => ({ cells: [name, String(value)] }))),
    make("h2", {}, "Signature"),
    table(["", "name", "type"], [
      ...o.inputs.map((t) => ({ cells: ["input", t.name, shape(t)] })),
      ...o.outputs.map((t) => ({ cells: ["output", t.name, shape(t)] }))]),
    make("h2", {}, "Whole model against float64"),
    table(["output", "", "#max abs error", "#of eager PyTorch", "#share of the bound"],
      data.outputs.map((row) => ({ cells: [row.name, verdict(row), ...errors(row)] }))));
}

function launches() {
  return data.kernels.reduce((sum, kernel) => sum + kernel.calls, 0);
}

function showKernels(search = "") {
  const words = search.toLowerCase();
  const rows = data.kernels.filter((kernel) =>
    kernel.name.toLowerCase().includes(words) ||
    Object.values(kernel.texts).some((text) => words.length > 2 && text.toLowerCase().includes(words)));
  main.replaceChildren(
    make("h2", {}, `Kernels (${rows.length} of ${data.kernels.length})`),
    table(["name", "#calls", "#bytes of arguments", "verification", "#max abs error",
      "#of eager PyTorch", "#share of the bound"],
    rows.map((kernel) => ({
      open: () => open(`kernel/${kernel.name}`),
      cells: [kernel.name, kernel.calls, bytes(kernel.bytes), verdict(kernel.verification),
        ...errors(kernel.verification)],
    }))));
}

function showTimes() {
  if (!data.times) {
    main.replaceChildren(make("h2", {}, "Times"), make("p", { class: "muted" },
      "Not measured: tilecast profile MODEL --json > times.json, then --profile times.json here."));
    return;
  }
  const { kernels, whole } = data.times;
  const names = Object.keys(kernels).sort((a, b) => kernels[b].ms - kernels[a].ms);
  main.replaceChildren(
    make("h2", {}, `Times: ${number(whole.ms)} ms for the model, floors from ${whole.ceilings} ceilings`),
    make("div", { class: "scroll" }, roofline(names, kernels)),
    table(["kernel", "#ms", "#predicted at least", "#share of the roofline, %", "#GFLOP/s", "#MFLOP", "#MB"],
      names.map((name) => {
        const t = kernels[name];
        return { open: () => open(`kernel/${name}`), cells: [name, number(t.ms), number(t.floor_ms),
          number(t.roofline_percent), number(t.gflops), number(t.mflop), number(t.mbytes)] };
      })));
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

function showKernel(name, stage) {
  const kernel = data.kernels.find((k) => k.name === name);
  if (!kernel) return showKernels();
  const stages = Object.keys(kernel.texts);
  const chosen = stages.includes(stage) ? stage : stages.at(-1);
  const schedule = (kernel.texts.schedule || "").match(/schedule = "((?:[^"\\]|\\.)*)"/);
  main.replaceChildren(
    make("h2", {}, name),
    table(["argument", "role"], kernel.arguments.map((type, k) => ({ cells: [type, kernel.roles[k]] }))),
    make("p", {}, ...stages.map((s) => make("button", {
      "aria-selected": s === chosen, onclick: () => open(`kernel/${name}/${s}`) }, s))),
    chosen === "schedule" && schedule
      ? make("pre", {}, schedule[1].replaceAll("\\0A", "\n")) : null,
    make("pre", { id: "text" }, kernel.texts[chosen] || "no text"));
}

function showGraph() {
  const layers = [];
  data.graph.nodes.forEach((node, k) => (layers[node.layer] ||= []).push(k));
  const WIDTH = 210, HEIGHT = 30, ROW = 62, COLUMN = 230;
  const place = {};
  layers.filter(Boolean).forEach((ids, y) => ids.forEach((k, x) =>
    (place[k] = { x: 20 + x * COLUMN, y: 20 + y * ROW })));
  const columns = Math.max(1, ...layers.filter(Boolean).map((ids) => ids.length));
  const svg = make("svg", { width: columns * COLUMN + 40,
    height: layers.filter(Boolean).length * ROW + 40 });
  for (const edge of data.graph.edges) {
    const a = place[edge.source], b = place[edge.target];
    const [x1, y1, x2, y2] = [a.x + WIDTH / 2, a.y + HEIGHT, b.x + WIDTH / 2, b.y];
    svg.append(make("path", { d: `M${x1},${y1} C${x1},${y1 + 22} ${x2},${y2 - 22} ${x2},${y2}` },
      make("title", {}, bytes(edge.bytes))));
  }
  data.graph.nodes.forEach((node, k) => {
    const { x, y } = place[k];
    const label = node.name.length > 30 ? `${node.name.slice(0, 29)}\u2026` : node.name;
    const group = make("g", { class: `node ${node.kind}` },
      make("rect", { x, y, width: WIDTH, height: HEIGHT, rx: 6 }),
      make("text", { x: x + 10, y: y + 20 }, label), make("title", {}, node.name));
    if (node.kind === "kernel") group.addEventListener("click", () => open(`kernel/${node.name}`));
    svg.append(group);
  });
  main.replaceChildren(make("h2", {}, "Launches, and what flows between them"),
    make("div", { class: "scroll" }, svg));
}

function showMemory() {
  const { arena, intervals } = data.memory;
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
  main.replaceChildren(
    make("h2", {}, `Arena of ${bytes(arena)}: bytes downwards, launches to the right`),
    make("div", { class: "scroll" }, svg));
}

function showDecisions() {
  const rows = data.decisions;
  main.replaceChildren(make("h2", {}, "Decisions and their alternatives"),
    Array.isArray(rows) && rows.length
      ? make("pre", {}, JSON.stringify(rows, null, 2))
      : make("p", { class: "muted" }, "Every choice of this package was made by rules."));
}

function showFiles(name) {
  const names = Object.keys(data.files);
  const chosen = names.includes(name) ? name : names[0];
  main.replaceChildren(
    make("p", {}, ...names.map((n) => make("button", {
      "aria-selected": n === chosen, onclick: () => open(`files/${n}`) }, n))),
    make("pre", {}, data.files[chosen] || ""));
}

const tabs = { overview: showOverview, graph: showGraph, kernels: showKernels, times: showTimes, memory: showMemory,
  decisions: showDecisions, files: showFiles };

function open(place) {
  location.hash = place;
}

function show() {
  const [tab, ...rest] = decodeURIComponent(location.hash.slice(1)).split("/");
  const current = tab === "kernel" ? "kernels" : tab in tabs ? tab : "overview";
  document.querySelectorAll("nav button").forEach((button) =>
    button.setAttribute("aria-selected", button.dataset.tab === current));
  if (tab === "kernel") showKernel(rest[0], rest[1]);
  else tabs[current](rest.join("/"));
  document.body.dataset.shown = location.hash.slice(1) || "overview";
}

document.querySelector("h1").textContent = data.overview.name;
for (const tab of Object.keys(tabs)) {
  const button = make("button", { role: "tab", onclick: () => open(tab) }, tab);
  button.dataset.tab = tab;
  document.querySelector("nav").append(button);
}
document.getElementById("search").addEventListener("input", (event) =>
  open(`kernels/${event.target.value}`));
window.addEventListener("hashchange", show);
show();
