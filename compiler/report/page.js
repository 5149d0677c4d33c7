const data = JSON.parse(document.getElementById("data").textContent);
const main = document.querySelector("main");

function number(value) {
  if (typeof value !== "number") return "";
  return Math.abs(value) >= 1000 ? value.toFixed(0) : value.toPrecision(3);
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

function showKernel(name, stage) {
  const kernel = data.kernels.find((k) => k.name === name);
  if (!kernel) return showKernels();
  const order = ["fuse", "structure", "statements", "schedule", "loops", "C"];
  const stages = order.filter((s) => s in kernel.texts);
  const chosen = stages.includes(stage) ? stage : stages.at(-1);
  const schedule = (kernel.texts.schedule || "").match(/schedule = "((?:[^"\\]|\\.)*)"/);
  main.replaceChildren(
    make("h2", {}, name),
    table(["argument", "role"], kernel.arguments.map((type, k) => ({ cells: [type, kernel.roles[k]] }))),
    make("p", {}, ...stages.map((s) => make("button", {
      "aria-selected": s === chosen, onclick: () => open(`kernel/${name}/${s}`) }, s)),
    ...Object.entries({ tuning: data.tuning, costs: data.costs?.kernels })
      .filter(([, known]) => known?.[name]).map(([tab]) => make("button", { onclick: () => open(`${tab}/${name}`) }, `${tab} \u2192`))),
    chosen === "schedule" && schedule
      ? make("pre", {}, schedule[1].replaceAll("\\0A", "\n")) : null,
    make("pre", { id: "text" }, kernel.texts[chosen] || "no text"));
}

function showGraph() {
  main.replaceChildren(make("h2", {}, "Launches, and what flows between them"),
    make("div", { class: "scroll" }, graphOf(data.graph)));
}

function showMemory() {
  main.replaceChildren(
    make("h2", {}, `Arena of ${bytes(data.memory.arena)}: bytes downwards, launches to the right`),
    make("div", { class: "scroll" }, arenaOf(data.memory)));
}

function showTuning(name) {
  const curves = data.tuning || {}, names = Object.keys(curves);
  if (!names.length) {
    main.replaceChildren(make("h2", {}, "Tuning"), make("p", { class: "muted" },
      "No kernel of this package was tuned for its target: tilecast tune MODEL --budget 90s."));
    return;
  }
  const chosen = names.includes(name) ? name : names[0], curve = curves[chosen];
  main.replaceChildren(make("h2", {}, "Tuning: speed over the default schedule"),
    table(["kernel", "#schedules", "#failed", "#best"], names.map((n) => ({
      open: () => open(`tuning/${n}`),
      cells: [n, curves[n].speedups.length, curves[n].failures.filter(Boolean).length,
        `${number(curves[n].best)}x`] }))),
    make("h2", {}, chosen), make("div", { class: "scroll" }, tuningCurve(curve)),
    curve.steps ? make("pre", {}, curve.steps) : make("p", { class: "muted" }, "The default schedule stays."));
}

function showCosts(name) {
  const { kernels = {}, model, machine, threads } = data.costs || {}, names = Object.keys(kernels);
  if (!names.length) {
    main.replaceChildren(make("h2", {}, "Cost model"), make("p", { class: "muted" },
      "No cost model was asked about this package, or it knows none of its kernels."));
    return;
  }
  const chosen = names.includes(name) ? name : names[0], cost = kernels[chosen];
  const us = (seconds) => number(seconds * 1e6);
  main.replaceChildren(
    make("h2", {}, `What the model ${model} predicts for ${machine}, ${threads} threads`),
    table(["kernel", "#predicted us", "#roofline us", "#ratio"], names.map((n) => ({
      open: () => open(`costs/${n}`), cells: [n, us(kernels[n].seconds), us(kernels[n].roofline),
        number(kernels[n].seconds / kernels[n].roofline)] }))),
    make("h2", {}, `${chosen}: from ${us(cost.roofline)} us of the roofline to ${us(cost.seconds)} us`),
    cost.terms.length ? make("div", { class: "scroll" }, contributions(cost))
      : make("p", { class: "muted" }, "This model does not say what its answer is made of."));
}

function showDecisions() {
  const rows = Array.isArray(data.decisions) ? data.decisions : [];
  main.replaceChildren(...[make("h2", {}, "Decisions and their alternatives"),
    ...rows.flatMap((d) => [
      make("h2", {}, `${d.kernel}: ${d.question}`),
      make("p", {}, `Predicted gain ${(100 * d.gain).toFixed(1)}%, uncertain by ${(100 * d.doubt).toFixed(1)}%.`),
      table(["", "choice", "#predicted us"], d.candidates.map(([label, seconds]) => ({
        cells: [label === d.chosen ? "taken" : "", label, number(seconds * 1e6)] })))]),
    rows.length ? null : make("p", { class: "muted" }, "Every choice of this package was made by rules.")].filter(Boolean));
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
  tuning: showTuning, costs: showCosts, decisions: showDecisions, files: showFiles };

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
