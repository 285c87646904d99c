// Trend charts: a line per job, its 95 % interval as a band, the range of the error rate as a paler one. Data come from the
// server, colours from the page, so that the theme is one switch. While a job runs, new points are drawn as they arrive.

const charts = new Map();
// Okabe-Ito, in an order that keeps neighbours apart; each line has its own dash too.
const LINES = ["light-dark(#0072b2, #56b4e9)", "light-dark(#b84a00, #e69f00)", "light-dark(#007a5a, #2fc79a)", "light-dark(#a3487b, #cc79a7)", "light-dark(#6b5d00, #f0e442)", "light-dark(#3d3d3d, #d0d0d0)"];
const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3], [4, 2], [1, 2]];

function resolved(value) {
  // What a canvas understands of light-dark(), var() and oklch().
  const probe = Object.assign(document.createElement("span"), { hidden: true });
  probe.style.color = value;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function faded(colour, alpha) {
  return `color-mix(in srgb, ${colour} ${alpha * 100}%, transparent)`;
}

function number(value) {
  if (value === null || value === undefined) return "not defined";
  return Number(value).toFixed(Math.abs(value) >= 10 ? 1 : 3);
}

function band(points, low, high, colour, alpha) {
  const shared = { pointRadius: 0, pointHitRadius: 0, borderWidth: 0, backgroundColor: resolved(faded(colour, alpha)), isBand: true, spanGaps: true };
  const edge = (name) => points.filter((point) => point[name] !== null && point[name] !== undefined).map((point) => ({ x: point.x, y: point[name] }));
  return [{ ...shared, data: edge(low) }, { ...shared, data: edge(high), fill: "-1" }];
}

function datasets(answer) {
  const found = [];
  answer.datasets.forEach(({ data: points, name, label }, place) => {
    const colour = resolved(LINES[place % LINES.length]);
    if (answer.lower_is_better && answer.datasets.length === 1) found.push(...band(points, "least", "greatest", colour, 0.07));
    found.push(...band(points, "low", "high", colour, 0.18));
    found.push({ label: name ?? label, data: points, borderColor: colour, backgroundColor: colour, borderWidth: 2, borderDash: DASHES[place % DASHES.length], pointRadius: points.length > 40 ? 0 : 2.5, pointHitRadius: 8, tension: 0.15, spanGaps: true });
  });
  return found;
}

function tooltip(context) {
  const point = context.raw;
  const lines = [`${context.dataset.label}: ${number(point.y)}`];
  if (point.low !== null && point.low !== undefined) lines.push(`95 % interval ${number(point.low)} to ${number(point.high)}`);
  if (point.least !== undefined) lines.push(`from ${number(point.least)} to ${number(point.greatest)}`);
  lines.push(`epoch ${Number(point.epoch.toFixed(3))}, step ${point.step.toLocaleString("en")}`);
  if (point.count !== undefined) lines.push(`${point.count.toLocaleString("en")} predictions`);
  return lines;
}

function options(answer, axis) {
  const grid = { color: resolved("var(--tblr-border-color-translucent)") };
  const ticks = { color: resolved("var(--tblr-secondary)"), maxTicksLimit: 8 };
  const lines = answer.datasets.length;
  return {
    maintainAspectRatio: false,
    animation: false,
    parsing: false,
    interaction: { mode: "nearest", axis: "x", intersect: false },
    plugins: {
      legend: { display: lines > 1, position: "bottom", labels: { color: ticks.color, usePointStyle: true, pointStyle: "line", boxWidth: 26, filter: (item, data) => !data.datasets[item.datasetIndex].isBand } },
      tooltip: { filter: (item) => !item.dataset.isBand, callbacks: { title: () => "", label: tooltip } },
    },
    scales: {
      x: { type: "linear", grid, ticks: { ...ticks, precision: axis === "step" ? 0 : undefined }, title: { display: true, text: axis, color: ticks.color } },
      y: { grid, ticks, beginAtZero: true, suggestedMax: answer.bounded ? 1 : undefined },
    },
  };
}

function say(holder, text) {
  const note = holder.querySelector(".trend-none");
  note.textContent = text;
  note.hidden = !text;
  holder.querySelector(".trend-canvas").hidden = Boolean(text);
}

async function draw(holder) {
  const { address, axis } = charts.get(holder);
  let answer;
  try {
    const response = await fetch(address, { headers: { Accept: "application/json" } });
    if (!response.ok) throw new Error(response.status);
    answer = await response.json();
  } catch {
    // What stands there stays; an empty place says why it is empty.
    if (!charts.get(holder).chart) say(holder, "The chart could not be loaded. Load the page again.");
    return;
  }
  charts.get(holder).answer = answer;
  show(holder, axis);
}

function show(holder, axis) {
  const state = charts.get(holder);
  const defined = state.answer.datasets.some(({ data }) => data.some((point) => point.y !== null));
  say(holder, defined ? "" : state.answer.undefined);
  if (!defined) return;
  const content = { data: { datasets: datasets(state.answer) }, options: options(state.answer, axis) };
  if (state.chart) Object.assign(state.chart, { options: content.options }), (state.chart.data = content.data), state.chart.update("none");
  else state.chart = new window.Chart(holder.querySelector("canvas"), { type: "line", ...content });
  const last = state.answer.datasets[0].data.findLast((point) => point.y !== null);
  const now = holder.querySelector(".trend-now");
  if (now && last) now.textContent = number(last.y);
}

function png(holder) {
  const canvas = holder.querySelector("canvas");
  const picture = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
  const pen = picture.getContext("2d");
  pen.fillStyle = resolved("var(--tblr-bg-surface)");
  pen.fillRect(0, 0, picture.width, picture.height);
  pen.drawImage(canvas, 0, 0);
  const name = holder.querySelector(".trend-name").textContent.trim().toLowerCase().replaceAll(/\W+/g, "-");
  Object.assign(document.createElement("a"), { href: picture.toDataURL("image/png"), download: `${name}.png` }).click();
}

const trends = document.querySelector("[data-trends]");
for (const holder of document.querySelectorAll("[data-metric]")) {
  const query = new URLSearchParams({ metric: holder.dataset.metric, axis: trends.dataset.axis });
  for (const other of new URLSearchParams(location.search).getAll("compare")) query.append("compare", other);
  charts.set(holder, { address: `${trends.dataset.trends}?${query}`, axis: trends.dataset.axis });
  holder.querySelector("[data-png]")?.addEventListener("click", () => png(holder));
}
for (const holder of document.querySelectorAll("[data-item-chart]")) charts.set(holder, { address: holder.dataset.itemChart, axis: "epoch" });
for (const holder of charts.keys()) draw(holder);

document.body.addEventListener("answers-changed", () => charts.forEach((state, holder) => draw(holder)));
new MutationObserver(() => charts.forEach((state, holder) => state.answer && show(holder, state.axis))).observe(document.documentElement, { attributes: true, attributeFilter: ["data-bs-theme"] });
// Choosing scores, jobs or the axis is a form; it needs no button where this runs.
trends?.querySelector("form").addEventListener("change", (event) => event.currentTarget.requestSubmit());
