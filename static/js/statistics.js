// Bar charts: data from the server, colours from the page, so that the theme is one switch.

const charts = [];

function colour(name) {
  // Resolve light-dark() and oklch() to what a canvas understands.
  const probe = Object.assign(document.createElement("span"), { hidden: true });
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function options(holder) {
  const grid = { color: colour("--tblr-border-color-translucent") };
  const ticks = { color: colour("--tblr-secondary"), autoSkip: holder.dataset.axis !== "y" };
  return {
    indexAxis: holder.dataset.axis || "x",
    maintainAspectRatio: false,
    animation: false,
    plugins: { legend: { display: false } },
    scales: { x: { grid, ticks, beginAtZero: true }, y: { grid, ticks, beginAtZero: true } },
  };
}

async function draw(holder) {
  const answer = await fetch(holder.dataset.chart, { headers: { Accept: "application/json" } });
  if (!answer.ok) {
    holder.replaceChildren(Object.assign(document.createElement("p"), { className: "text-secondary", textContent: "The chart could not be loaded. Load the page again; the table below holds the numbers." }));
    return;
  }
  const data = await answer.json();
  if (holder.dataset.bars) holder.style.height = `${Math.max(160, 22 * Number(holder.dataset.bars) + 50)}px`;
  const datasets = data.datasets.map(({ data: values, label }) => ({ data: values, label, backgroundColor: colour("--tblr-primary"), borderRadius: 2, maxBarThickness: 26 }));
  charts.push({ holder, chart: new window.Chart(holder.querySelector("canvas"), { type: "bar", data: { labels: data.labels, datasets }, options: options(holder) }) });
}

function recolour() {
  for (const { holder, chart } of charts) {
    chart.options = options(holder);
    for (const dataset of chart.data.datasets) dataset.backgroundColor = colour("--tblr-primary");
    chart.update("none");
  }
}

for (const holder of document.querySelectorAll("[data-chart]")) draw(holder);
new MutationObserver(recolour).observe(document.documentElement, { attributes: true, attributeFilter: ["data-bs-theme"] });
