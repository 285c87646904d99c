// Charts of test runs: lines over an axis from 0 to 1 or over epochs, with 95 % bands where points have them, and the operating
// point as an upright line. Data come from the server, colours from the page.

const charts = [];
// Okabe-Ito, in an order that keeps neighbours apart; each line has its own dash too.
const LINES = ["light-dark(#0072b2, #56b4e9)", "light-dark(#b84a00, #e69f00)", "light-dark(#007a5a, #2fc79a)", "light-dark(#a3487b, #cc79a7)", "light-dark(#6b5d00, #f0e442)", "light-dark(#3d3d3d, #d0d0d0)"];
const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3], [4, 2], [1, 2]];
let confidence = Number(document.querySelector("[data-point-number]")?.value ?? Number.NaN);

function resolved(value) {
  // What a canvas understands of light-dark(), var() and oklch().
  const probe = Object.assign(document.createElement("span"), { hidden: true });
  probe.style.color = value;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

const mark = {
  id: "operating-point",
  afterDatasetsDraw(chart) {
    if (!chart.options.marksPoint || Number.isNaN(confidence)) return;
    const { ctx: pen, chartArea: area, scales } = chart;
    const x = scales.x.getPixelForValue(confidence);
    pen.save();
    pen.strokeStyle = resolved("var(--streak)");
    pen.lineWidth = 2;
    pen.beginPath();
    pen.moveTo(x, area.top);
    pen.lineTo(x, area.bottom);
    pen.stroke();
    pen.restore();
  },
};

function band(points, colour) {
  const shared = { pointRadius: 0, pointHitRadius: 0, borderWidth: 0, backgroundColor: resolved(`color-mix(in srgb, ${colour} 18%, transparent)`), isBand: true };
  const edge = (name) => points.filter((point) => point[name] !== null && point[name] !== undefined).map((point) => ({ x: point.x, y: point[name] }));
  return [{ ...shared, data: edge("low") }, { ...shared, data: edge("high"), fill: "-1" }];
}

function lines(answer) {
  return answer.datasets.flatMap(({ data: points, name, label }, place) => {
    const colour = resolved(LINES[place % LINES.length]);
    const line = { label: name ?? label, data: points, borderColor: colour, backgroundColor: colour, borderWidth: 2, borderDash: DASHES[place % DASHES.length], pointRadius: points.length > 40 || points.length < 3 && answer.bounded ? 0 : 3, pointHitRadius: 6, spanGaps: true };
    return [...(points.some((point) => point.low !== undefined && point.low !== null) ? band(points, colour) : []), line];
  });
}

function words(context) {
  const point = context.raw;
  const found = [`${context.dataset.label}: ${point.y === null ? "not defined" : point.y.toFixed(3)}`];
  if (point.low !== undefined && point.low !== null) found.push(`95 % interval ${point.low.toFixed(3)} to ${point.high.toFixed(3)}`);
  if (point.count !== undefined) found.push(`${point.count.toLocaleString("en")} predictions`);
  if (point.label) found.push(point.label);
  return found;
}

function options(holder, answer) {
  const grid = { color: resolved("var(--tblr-border-color-translucent)") };
  const ticks = { color: resolved("var(--tblr-secondary)"), maxTicksLimit: 8 };
  const title = (text) => ({ display: true, text, color: ticks.color });
  const bounds = answer.bounded ? { min: 0, max: 1 } : {};
  return {
    maintainAspectRatio: false,
    animation: false,
    parsing: false,
    marksPoint: "marksPoint" in holder.dataset,
    interaction: { mode: "nearest", axis: "x", intersect: false },
    plugins: {
      legend: { display: answer.datasets.length > 1, position: "bottom", labels: { color: ticks.color, usePointStyle: true, pointStyle: "line", boxWidth: 26, filter: (item, data) => !data.datasets[item.datasetIndex].isBand } },
      tooltip: { filter: (item) => !item.dataset.isBand, callbacks: { title: ([item]) => (item ? `${answer.x} ${Number(item.raw.x.toFixed(3))}` : ""), label: words } },
    },
    scales: { x: { type: "linear", grid, ticks, title: title(answer.x), ...bounds }, y: { grid, ticks, title: title(answer.y), ...bounds, beginAtZero: true } },
  };
}

function say(holder, text) {
  const note = holder.querySelector(".chart-none");
  note.textContent = text;
  note.hidden = !text;
  holder.querySelector("canvas").hidden = Boolean(text);
}

function show(state) {
  const { holder, answer } = state;
  const has = answer.datasets.some(({ data }) => data.some((point) => point.y !== null));
  say(holder, has ? "" : answer.none);
  if (!has) return;
  state.chart?.destroy();
  state.chart = new window.Chart(holder.querySelector("canvas"), { type: "line", data: { datasets: lines(answer) }, options: options(holder, answer), plugins: [mark] });
}

async function draw(holder) {
  try {
    const response = await fetch(holder.dataset.testChart, { headers: { Accept: "application/json" } });
    if (!response.ok) throw new Error(response.status);
    const state = { holder, answer: await response.json() };
    charts.push(state);
    show(state);
  } catch {
    say(holder, "The chart could not be loaded. Load the page again.");
  }
}

for (const holder of document.querySelectorAll("[data-test-chart]")) draw(holder);
document.addEventListener("operating-point", (event) => {
  confidence = event.detail;
  for (const { chart } of charts) if (chart?.options.marksPoint) chart.draw();
});
new MutationObserver(() => charts.forEach(show)).observe(document.documentElement, { attributes: true, attributeFilter: ["data-bs-theme"] });
// Choosing a class or a figure is a form; it needs no button where this runs.
for (const choice of document.querySelectorAll("[data-submit-on-change]")) choice.addEventListener("change", () => choice.form.requestSubmit());
