// One image with its labels: layers, confidence, labels that keep out of each other's way, zoom and pan, and the list beside it.

import { Cut, box, eachFrame, element, placed, read, remember, startingConfidence, typing } from "./overlay.js";

const data = read("stage-data");
const stage = document.getElementById("stage");
const content = stage.querySelector(".stage-content");
const labelHolder = stage.querySelector(".labels");
const panel = document.getElementById("objects");
const bar = document.getElementById("overlay-bar");
const slider = document.getElementById("confidence");
const address = new URLSearchParams(location.search);
const hidden = new Set((address.get("hide") || "").split(",").filter(Boolean));
const MOST_LABELS = 150;
const DRAG = 4; // pixels a pointer moves before it drags
let lit = null;
let showLabels = address.get("labels") !== "off";
let scale = 1;
let left = 0;
let top = 0;

// --- Drawing ---------------------------------------------------------------------------------------------------------
const picture = element("svg", { viewBox: `0 0 ${data.width} ${data.height}`, class: "overlay" });
picture.append(
  element("defs", {}, [
    element("pattern", { id: "hatch", width: 8, height: 8, patternUnits: "userSpaceOnUse", patternTransform: `rotate(45) scale(${Math.max(data.width, data.height) / 720})` }, [
      element("rect", { width: 3, height: 8, fill: "#ffffff99" }),
    ]),
  ]),
);
content.append(picture);

const layers = data.layers.map((layer, index) => {
  const group = element("g", { "data-layer": layer.key, class: index ? `predicted dash-${index}` : "truth" });
  const objects = layer.objects.map((entry) => drawn(entry, index));
  for (const object of objects) group.append(object.node);
  picture.append(group);
  return { ...layer, index, group, objects, cut: new Cut(objects) };
});

function drawn(entry, index) {
  const category = data.categories[entry.category];
  const colour = category.colour;
  const node = element("g", { class: entry.crowd ? "crowd" : "" });
  const place = entry.box || around(entry.keypoints);
  if (entry.path) {
    node.append(element("path", { d: entry.path, class: "mask", fill: colour, "fill-rule": "evenodd" }));
    if (entry.crowd) node.append(element("path", { d: entry.path, class: "hatched", "fill-rule": "evenodd" }));
    node.append(element("path", { d: entry.path, class: "casing" }), element("path", { d: entry.path, class: "line", stroke: colour }));
  } else if (entry.box) {
    const [x, y, width, height] = entry.box;
    if (entry.crowd) node.append(element("rect", { x, y, width, height, class: "hatched" }));
    node.append(...box(entry.box, colour));
  }
  if (entry.keypoints) node.append(...pose(entry.keypoints, category, colour));
  return { ...entry, box: place, node, colour, name: category.name, layer: index, score: index ? entry.score : 2 };
}

// The box around the keypoints that are there, for objects that come without one.
function around(keypoints) {
  if (!keypoints) return null;
  const seen = [];
  for (let at = 0; at + 2 < keypoints.length; at += 3) if (keypoints[at + 2]) seen.push([keypoints[at], keypoints[at + 1]]);
  if (!seen.length) return null;
  const [x, y] = [Math.min(...seen.map((each) => each[0])), Math.min(...seen.map((each) => each[1]))];
  return [x, y, Math.max(...seen.map((each) => each[0])) - x, Math.max(...seen.map((each) => each[1])) - y];
}

// What the pointer meets lies above all lines, small objects above large ones, so that each can be reached.
const hits = element("g", { class: "hits" });
picture.append(hits);
const reachable = layers.flatMap((layer) => layer.objects).filter((object) => object.box);
for (const object of reachable.sort((a, b) => b.box[2] * b.box[3] - a.box[2] * a.box[3])) {
  const [x, y, width, height] = object.box;
  object.hit = element("rect", { x, y, width, height, class: "hit" });
  object.hit.addEventListener("pointerenter", () => light(object, true));
  object.hit.addEventListener("pointerleave", () => light(object, false));
  object.hit.addEventListener("click", () => object.row.scrollIntoView({ block: "nearest" }));
  hits.append(object.hit);
}

function pose(values, category, colour) {
  const points = [];
  for (let at = 0; at + 2 < values.length; at += 3) points.push({ x: values[at], y: values[at + 1], seen: values[at + 2] });
  const size = Math.max(data.width, data.height) / 260;
  const parts = [];
  for (const [from, to] of category.skeleton || []) {
    const [a, b] = [points[from - 1], points[to - 1]];
    if (!a || !b || !a.seen || !b.seen) continue;
    const line = { x1: a.x, y1: a.y, x2: b.x, y2: b.y };
    parts.push(element("line", { ...line, class: "casing" }), element("line", { ...line, class: "bone line", stroke: colour }));
  }
  points.forEach((point, number) => {
    if (!point.seen) return;
    const joint = element("circle", { cx: point.x, cy: point.y, r: size, fill: colour, class: point.seen === 1 ? "joint is-hidden" : "joint" });
    joint.append(element("title", {}, [category.keypoints?.[number] || `keypoint ${number + 1}`]));
    parts.push(joint);
  });
  return parts;
}

// --- The list beside -------------------------------------------------------------------------------------------------
for (const layer of layers) {
  const heading = document.createElement("h2");
  const mark = element("svg", { viewBox: "0 0 24 8", class: layer.index ? `dash-${layer.index}` : "", "aria-hidden": "true" }, [
    element("line", { x1: 1, y1: 4, x2: 23, y2: 4, class: "line" }),
  ]);
  layer.counter = Object.assign(document.createElement("span"), { className: "num" });
  heading.append(mark, layer.name, layer.counter);
  const list = Object.assign(document.createElement("ul"), { className: "object-list" });
  for (const object of layer.objects) list.append(row(object));
  layer.section = document.createElement("div");
  layer.section.append(heading, list);
  if (!layer.objects.length) layer.section.append(Object.assign(document.createElement("p"), { className: "nothing m-0", textContent: layer.index ? "This run found nothing here." : "No annotations." }));
  panel.append(layer.section);
}

function row(object) {
  const item = document.createElement("li");
  const button = Object.assign(document.createElement("button"), { type: "button" });
  const swatch = Object.assign(document.createElement("i"), { className: "swatch" });
  swatch.style.background = object.colour;
  const name = Object.assign(document.createElement("span"), { className: "text-truncate", textContent: object.name + (object.crowd ? " (crowd)" : ""), title: object.name });
  const number = Object.assign(document.createElement("span"), { className: "num", textContent: object.layer ? object.score.toFixed(2) : "" });
  button.append(swatch, name, number);
  for (const [event, on] of [["pointerenter", true], ["pointerleave", false], ["focus", true], ["blur", false]]) {
    button.addEventListener(event, () => light(object, on));
  }
  button.addEventListener("click", () => object.box && centre(object.box));
  item.append(button);
  object.row = button;
  object.item = item;
  return item;
}

function light(object, on) {
  object.row.classList.toggle("is-lit", on);
  object.node.classList.toggle("is-lit", on);
  picture.classList.toggle("has-lit", on);
  lit = on ? object : null;
  placeLabels();
}

// --- What is shown ---------------------------------------------------------------------------------------------------
function apply() {
  const confidence = slider ? Number(slider.value) : 0;
  for (const layer of layers) {
    const shown = layer.cut.at(confidence);
    const off = hidden.has(layer.key);
    layer.group.style.display = off ? "none" : "";
    layer.section.style.opacity = off ? "0.5" : "";
    layer.counter.textContent = layer.index && shown < layer.objects.length ? `${shown} of ${layer.objects.length}` : String(shown);
    layer.objects.forEach((object, at) => {
      object.item.hidden = at >= shown;
      if (object.hit) object.hit.style.display = off || at >= shown ? "none" : "";
    });
  }
  for (const chip of bar.querySelectorAll("[data-layer]")) chip.setAttribute("aria-pressed", String(!hidden.has(chip.dataset.layer)));
  stage.querySelector("[data-labels]").setAttribute("aria-pressed", String(showLabels));
  const output = bar.querySelector("output");
  if (output) output.value = confidence.toFixed(2);
  placeLabels();
}

// With several runs, a label says by its number which one speaks.
function labelled(object) {
  if (!object.layer) return object.name;
  return `${layers.length > 2 ? `${object.layer} · ` : ""}${object.name} ${object.score.toFixed(2)}`;
}

// Each label takes the first free place around its box; one that finds none is left to hovering.
const placeLabels = eachFrame(() => {
  labelHolder.replaceChildren();
  const wanted = lit ? [lit] : showLabels ? layers.flatMap((layer) => (hidden.has(layer.key) ? [] : layer.objects.slice(0, layer.cut.shown))) : [];
  const taken = [];
  const frame = { across: stage.clientWidth, down: stage.clientHeight };
  for (const object of wanted.slice(0, MOST_LABELS)) {
    const text = labelled(object);
    // A class of the whole image stands in its corner.
    const [x, y, width, height] = object.box || [0, 0, data.width, data.height];
    const label = placed(text, object.colour, [left + x * scale, top + y * scale, width * scale, height * scale], frame, taken, object === lit);
    if (label) labelHolder.append(label);
  }
});

function toggle(key) {
  if (hidden.has(key)) hidden.delete(key);
  else hidden.add(key);
  keep({ hide: [...hidden].join(",") || null });
  apply();
}

// Other runs open with what is shown here,
document.querySelector(".run-picker form")?.addEventListener("formdata", ({ formData }) => {
  const search = new URLSearchParams(location.search);
  for (const key of ["conf", "hide", "labels"]) {
    formData.delete(key);
    if (search.get(key)) formData.set(key, search.get(key));
  }
});

// and so do neighbours.
function keep(changes) {
  const search = remember(changes);
  for (const link of document.querySelectorAll(".filmstrip a, [data-step][href], [data-back]")) {
    const target = new URL(link.href);
    for (const key of ["conf", "hide", "labels"]) {
      if (search.get(key)) target.searchParams.set(key, search.get(key));
      else target.searchParams.delete(key);
    }
    link.href = target;
  }
}

// --- Zoom and pan ----------------------------------------------------------------------------------------------------
function lay() {
  content.style.width = `${data.width * scale}px`;
  content.style.height = `${data.height * scale}px`;
  content.style.transform = `translate(${left}px, ${top}px)`;
  stage.classList.toggle("is-close", scale > 4);
  placeLabels();
}

function fitting() {
  return Math.min(stage.clientWidth / data.width, stage.clientHeight / data.height) * 0.98;
}

function fit() {
  scale = fitting();
  left = (stage.clientWidth - data.width * scale) / 2;
  top = (stage.clientHeight - data.height * scale) / 2;
  lay();
}

function zoom(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  const next = Math.min(Math.max(scale * factor, fitting() * 0.5), 40);
  left = x - ((x - left) * next) / scale;
  top = y - ((y - top) * next) / scale;
  scale = next;
  lay();
}

function centre([x, y, width, height]) {
  scale = Math.min(Math.max(fitting(), 0.5 * Math.min(stage.clientWidth / width, stage.clientHeight / height)), 12);
  left = stage.clientWidth / 2 - (x + width / 2) * scale;
  top = stage.clientHeight / 2 - (y + height / 2) * scale;
  lay();
}

stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  const place = stage.getBoundingClientRect();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), event.clientX - place.left, event.clientY - place.top);
}, { passive: false });

const pointers = new Map();
stage.addEventListener("pointerdown", (event) => {
  if (event.target.closest(".stage-tools")) return;
  if (event.button === 0) pointers.set(event.pointerId, event);
});
stage.addEventListener("pointermove", (event) => {
  const last = pointers.get(event.pointerId);
  if (!last) return;
  if (!stage.hasPointerCapture(event.pointerId)) {
    // Captured only once it drags, because a click has to reach the object below.
    if (pointers.size < 2 && Math.hypot(event.clientX - last.clientX, event.clientY - last.clientY) < DRAG) return;
    for (const each of pointers.keys()) stage.setPointerCapture(each);
    stage.classList.add("is-panning");
  }
  if (pointers.size === 2) {
    const other = [...pointers.values()].find((each) => each.pointerId !== event.pointerId);
    const place = stage.getBoundingClientRect();
    const before = Math.hypot(last.clientX - other.clientX, last.clientY - other.clientY);
    const after = Math.hypot(event.clientX - other.clientX, event.clientY - other.clientY);
    zoom(after / Math.max(before, 1), (event.clientX + other.clientX) / 2 - place.left, (event.clientY + other.clientY) / 2 - place.top);
  } else {
    left += event.clientX - last.clientX;
    top += event.clientY - last.clientY;
    lay();
  }
  pointers.set(event.pointerId, event);
});
for (const name of ["pointerup", "pointercancel", "pointerleave"]) {
  stage.addEventListener(name, (event) => {
    pointers.delete(event.pointerId);
    if (!pointers.size) stage.classList.remove("is-panning");
  });
}
stage.addEventListener("dblclick", (event) => event.target.closest(".stage-tools") || fit());
new ResizeObserver(fit).observe(stage);

// --- Buttons and keys ------------------------------------------------------------------------------------------------
const strip = document.querySelector(".filmstrip");
const current = strip.querySelector("[aria-current]");
strip.scrollLeft = current.offsetLeft - strip.offsetLeft - (strip.clientWidth - current.offsetWidth) / 2;

const acts = { in: () => zoom(1.35), out: () => zoom(1 / 1.35), fit };
stage.querySelector(".stage-tools").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.zoom) acts[button.dataset.zoom]();
  else if (button) switchLabels();
});
bar.addEventListener("click", (event) => {
  const chip = event.target.closest("[data-layer]");
  if (chip) toggle(chip.dataset.layer);
});
if (slider) {
  slider.value = startingConfidence(address);
  slider.addEventListener("input", eachFrame(apply));
  slider.addEventListener("change", () => keep({ conf: slider.value }));
}

function switchLabels() {
  showLabels = !showLabels;
  keep({ labels: showLabels ? null : "off" });
  apply();
}

function step(which) {
  const link = document.querySelector(`[data-step="${which}"][href]`);
  if (link) location.assign(link.href);
}

document.addEventListener("keydown", (event) => {
  if (typing(event) || (event.target === slider && event.key.startsWith("Arrow"))) return;
  const key = event.key.toLowerCase();
  if (key === "arrowleft" || key === "k") step("previous");
  else if (key === "arrowright" || key === "j") step("next");
  else if (key === "g") toggle("truth");
  else if (/^[1-6]$/.test(key) && layers[Number(key)]) toggle(layers[Number(key)].key);
  else if (key === "l") switchLabels();
  else if (key === "f") fit();
  else if (key === "+" || key === "=") zoom(1.35);
  else if (key === "-") zoom(1 / 1.35);
});

apply();
