// The grid of a dataset: overlays on thumbnails, what is shown of them, and their size.

import { Cut, box, eachFrame, element, read, remember, startingConfidence, typing } from "./overlay.js";

const grid = document.getElementById("grid");
const bar = document.getElementById("overlay-bar");

if (grid && bar) start();
colourSwatches();
document.body.addEventListener("htmx:afterSettle", colourSwatches);

function colourSwatches() {
  const holder = document.getElementById("categories");
  if (!holder) return;
  const categories = JSON.parse(holder.textContent);
  for (const swatch of document.querySelectorAll(".swatch[data-category]")) {
    swatch.style.background = categories[swatch.dataset.category]?.colour;
  }
}

function start() {
  const categories = read("categories");
  const slider = document.getElementById("confidence");
  const size = document.getElementById("thumb-size");
  const address = new URLSearchParams(location.search);
  const hidden = new Set((address.get("hide") || "").split(",").filter(Boolean));
  const cuts = [];

  function drawCards() {
    for (const holder of grid.querySelectorAll("script[type='application/json']:not([data-drawn])")) {
      holder.dataset.drawn = "";
      for (const [key, entry] of Object.entries(JSON.parse(holder.textContent))) {
        const thumb = grid.querySelector(`[data-sample="${key}"] .thumb`);
        if (thumb) draw(thumb, entry);
      }
    }
    apply();
  }

  function draw(thumb, entry) {
    const picture = element("svg", { viewBox: `0 0 ${entry.w || 320} ${entry.h || 240}`, class: "overlay", "aria-hidden": "true" });
    for (const chip of bar.querySelectorAll("[data-layer]")) {
      const key = chip.dataset.layer;
      const isTruth = key === "truth";
      const layer = element("g", { "data-layer": key, class: isTruth ? "truth" : `predicted dash-${chip.dataset.dash}` });
      const items = [];
      for (const [category, x, y, width, height, last] of isTruth ? entry.truth : entry.runs[key] || []) {
        if (x === null) continue;
        const node = element("g", isTruth && last ? { class: "crowd" } : {}, box([x, y, width, height], categories[category]?.colour || "#fff"));
        items.push({ node, score: isTruth ? 1 : last });
        layer.append(node);
      }
      if (!isTruth) cuts.push(new Cut(items));
      picture.append(layer);
    }
    thumb.append(picture);
  }

  function apply() {
    const confidence = slider ? Number(slider.value) : 0;
    for (const cut of cuts) cut.at(confidence);
    for (const layer of grid.querySelectorAll("[data-layer]")) layer.style.display = hidden.has(layer.dataset.layer) ? "none" : "";
    for (const chip of bar.querySelectorAll("[data-layer]")) chip.setAttribute("aria-pressed", String(!hidden.has(chip.dataset.layer)));
    const output = bar.querySelector("output");
    if (output) output.value = confidence.toFixed(2);
  }

  function toggle(key) {
    if (hidden.has(key)) hidden.delete(key);
    else hidden.add(key);
    keep({ hide: [...hidden].join(",") || null });
    apply();
  }

  // Links to samples carry what is shown here.
  function keep(changes) {
    const search = remember(changes);
    for (const card of grid.querySelectorAll("a.sample-card")) {
      const target = new URL(card.href);
      for (const key of ["conf", "hide"]) {
        if (search.get(key)) target.searchParams.set(key, search.get(key));
        else target.searchParams.delete(key);
      }
      card.href = target;
    }
  }

  if (slider) {
    slider.value = startingConfidence(address);
    slider.addEventListener("input", eachFrame(apply));
    slider.addEventListener("change", () => keep({ conf: slider.value }));
  }
  size.value = localStorage.getItem("touchstone-thumb") || size.value;
  const resize = () => {
    grid.style.setProperty("--thumb", `${size.value}px`);
    localStorage.setItem("touchstone-thumb", size.value);
  };
  size.addEventListener("input", resize);
  resize();
  bar.addEventListener("click", (event) => {
    const chip = event.target.closest("[data-layer]");
    if (chip) toggle(chip.dataset.layer);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !typing(event)) {
      event.preventDefault();
      document.querySelector(".filter-rail").open = true;
      document.querySelector("#filter [name=name]").focus();
    }
    if (typing(event)) return;
    const chips = [...bar.querySelectorAll("[data-layer]")];
    if (event.key.toLowerCase() === "g") toggle("truth");
    else if (/^[1-6]$/.test(event.key) && chips[Number(event.key)]) toggle(chips[Number(event.key)].dataset.layer);
  });
  document.body.addEventListener("htmx:afterSettle", drawCards);
  const filter = document.getElementById("filter");
  filter.addEventListener("change", () => filter.requestSubmit());
  filter.addEventListener("formdata", ({ formData }) => {
    for (const [key, value] of [...formData]) if (value === "" || (key === "sort" && value === "file")) formData.delete(key);
    if (formData.getAll("run").length > 1) {
      // `none` only says that no run is ticked.
      const ticked = formData.getAll("run").filter((value) => value !== "none");
      formData.delete("run");
      for (const value of ticked) formData.append("run", value);
    }
    const search = new URLSearchParams(location.search);
    for (const key of ["conf", "hide"]) if (search.get(key)) formData.set(key, search.get(key));
  });
  if (matchMedia("(max-width: 991px)").matches) document.querySelector(".filter-rail").open = false;
  drawCards();
}
