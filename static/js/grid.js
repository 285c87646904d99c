// The grid of a dataset: overlays on thumbnails, what is shown of them, and their size.

import { Cut, box, eachFrame, element, placed, read, remember, startingConfidence, typing } from "./overlay.js";

const grid = document.getElementById("grid");
const bar = document.getElementById("overlay-bar");
const filter = document.getElementById("filter");

if (filter) wireFilter();
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

// Filters act at once, also where nothing fits; the address holds what is asked for and nothing else.
function wireFilter() {
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
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || typing(event)) return;
    event.preventDefault();
    document.querySelector(".filter-rail").open = true;
    filter.elements.name.focus();
  });
}

// Whoever comes back from an image finds the grid as far loaded and scrolled as it was left.
function keepPlace() {
  const place = history.state?.place;
  const cards = () => grid.querySelectorAll(".sample-card").length;
  addEventListener("pagehide", () => history.replaceState({ ...history.state, place: { cards: cards(), top: scrollY } }, ""));
  if (!place || place.cards <= cards()) return;
  const goOn = () => {
    const more = grid.querySelector(".more");
    if (more && cards() < place.cards) return window.htmx.trigger(more, "intersect");
    grid.removeEventListener("htmx:afterSettle", goOn);
    scrollTo({ top: place.top, behavior: "instant" });
  };
  grid.addEventListener("htmx:afterSettle", goOn);
  addEventListener("load", goOn, { once: true });
}

function start() {
  const categories = read("categories");
  const slider = document.getElementById("confidence");
  const size = document.getElementById("thumb-size");
  const address = new URLSearchParams(location.search);
  const hidden = new Set((address.get("hide") || "").split(",").filter(Boolean));
  const cuts = [];
  const labelled = new WeakMap(); // from a thumbnail to what is drawn on it

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
      const tags = Object.assign(document.createElement("span"), { className: "thumb-tags" });
      tags.dataset.layer = key;
      const items = [];
      for (const [category, x, y, width, height, last] of isTruth ? entry.truth : entry.runs[key] || []) {
        const { name, colour } = categories[category];
        const text = isTruth ? name : `${name} ${last.toFixed(2)}`;
        const isTag = x === null;
        const node = isTag ? tag(text, colour) : element("g", isTruth && last ? { class: "crowd" } : {}, box([x, y, width, height], colour));
        items.push({ node, score: isTruth ? 1 : last, text, colour, key, box: isTag ? null : [x, y, width, height] });
        (isTag ? tags : layer).append(node);
      }
      if (!isTruth) cuts.push(new Cut(items));
      labelled.set(thumb, [...(labelled.get(thumb) || []), ...items]);
      picture.append(layer);
      if (tags.children.length) thumb.append(tags);
    }
    thumb.append(picture);
  }

  // A class of the whole image, as images of classification have it.
  function tag(text, colour) {
    const made = Object.assign(document.createElement("span"), { className: "label", textContent: text, title: text });
    made.style.background = colour;
    return made;
  }

  // The names of what is drawn, while the pointer or the focus is on the image.
  function nameObjects(thumb) {
    const picture = thumb.querySelector("svg.overlay");
    if (!picture || thumb.querySelector(".labels")) return;
    const matrix = picture.getScreenCTM();
    const place = thumb.getBoundingClientRect();
    const holder = Object.assign(document.createElement("span"), { className: "labels", ariaHidden: "true" });
    const taken = [];
    for (const { box: at, node, text, colour, key } of labelled.get(thumb) || []) {
      if (!at || hidden.has(key) || node.style.display === "none") continue;
      const corner = [matrix.e - place.left + at[0] * matrix.a, matrix.f - place.top + at[1] * matrix.d, at[2] * matrix.a, at[3] * matrix.d];
      const label = placed(text, colour, corner, { across: place.width, down: place.height }, taken);
      if (label) holder.append(label);
    }
    thumb.append(holder);
  }

  for (const [event, show] of [["pointerover", true], ["focusin", true], ["pointerout", false], ["focusout", false]]) {
    grid.addEventListener(event, ({ target, relatedTarget }) => {
      const card = target.closest?.(".sample-card");
      if (!card || card.contains(relatedTarget)) return;
      if (show) nameObjects(card.querySelector(".thumb"));
      else card.querySelector(".labels")?.remove();
    });
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
    if (typing(event)) return;
    const chips = [...bar.querySelectorAll("[data-layer]")];
    if (event.key.toLowerCase() === "g") toggle("truth");
    else if (/^[1-6]$/.test(event.key) && chips[Number(event.key)]) toggle(chips[Number(event.key)].dataset.layer);
  });
  document.body.addEventListener("htmx:afterSettle", drawCards);
  keepPlace();
  drawCards();
}
