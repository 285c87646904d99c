// Try it: an image by drop, click, paste or camera runs at once; answers are drawn, and their sliders act without the server.

import { box, eachFrame, element, placed, read } from "./overlay.js";
import { shown } from "./suppression.js";

const form = document.getElementById("try-form");
const input = document.getElementById("id_image");
const drop = document.getElementById("try-drop");
const SEEN = 0.5; // confidence from which a keypoint is drawn

// --- What comes in ---------------------------------------------------------------------------------------------------
function run(file) {
  if (!file) return;
  const transfer = new DataTransfer();
  transfer.items.add(file);
  input.files = transfer.files;
  form.requestSubmit();
}

if (form) {
  drop.classList.add("is-live");
  form.querySelector("[data-run]").hidden = true; // an image runs by itself
  input.addEventListener("change", () => input.files.length && form.requestSubmit());
  document.getElementById("id_camera").addEventListener("change", ({ target }) => run(target.files[0]));
  document.addEventListener("paste", ({ clipboardData }) => run([...clipboardData.files].find((file) => file.type.startsWith("image/"))));
  for (const event of ["dragover", "dragenter"]) {
    drop.addEventListener(event, (dragged) => {
      dragged.preventDefault();
      drop.classList.add("is-over");
    });
  }
  for (const event of ["dragleave", "drop"]) drop.addEventListener(event, () => drop.classList.remove("is-over"));
  drop.addEventListener("drop", (dropped) => {
    dropped.preventDefault();
    run(dropped.dataTransfer.files[0]);
  });
  // Another checkpoint with the image that is there: run it again.
  for (const select of form.querySelectorAll("select")) select.addEventListener("change", () => input.files.length && form.requestSubmit());
}

// --- What comes back -------------------------------------------------------------------------------------------------
function draw(stage) {
  if (stage.dataset.drawn) return;
  stage.dataset.drawn = "yes";
  const data = read(stage.dataset.answer);
  if (!data?.objects.length && !stage.closest(".answer").querySelector("[data-list]")) return;
  const answer = stage.closest(".answer");
  const picture = element("svg", { viewBox: `0 0 ${data.width} ${data.height}`, class: "overlay predicted dash-1" });
  const labels = Object.assign(document.createElement("div"), { className: "labels" });
  stage.append(picture, labels);
  const [confidence, iou] = ["confidence", "iou"].map((name) => answer.querySelector(`[data-${name}]`));
  if (!confidence) return;

  const apply = eachFrame(() => {
    const objects = shown(data.objects, Number(confidence.value), Number(iou.value));
    picture.replaceChildren(...objects.toReversed().map((found) => drawn(found, data)));
    label(objects, stage, labels, data);
    list(objects, answer);
    for (const slider of [confidence, iou]) slider.closest("label").querySelector("output").value = Number(slider.value).toFixed(2);
    answer.querySelector("[data-picture]").href = `${data.picture}?download&confidence=${confidence.value}&iou=${iou.value}`;
  });
  confidence.addEventListener("input", apply);
  iou.addEventListener("input", apply);
  new ResizeObserver(apply).observe(stage);
  apply();
}

function drawn(found, data) {
  const group = element("g");
  if (found.path) group.append(element("path", { d: found.path, class: "mask", fill: found.colour, "fill-rule": "evenodd" }));
  group.append(...box(found.bbox, found.colour));
  if (found.keypoints) group.append(...pose(found, data));
  return group;
}

function pose(found, data) {
  const points = [];
  for (let at = 0; at + 2 < found.keypoints.length; at += 3) points.push(found.keypoints.slice(at, at + 3));
  const parts = [];
  for (const [one, other] of found.skeleton) {
    const [a, b] = [points[one], points[other]];
    if (a[2] < SEEN || b[2] < SEEN) continue;
    const line = { x1: a[0], y1: a[1], x2: b[0], y2: b[1] };
    parts.push(element("line", { ...line, class: "casing" }), element("line", { ...line, class: "bone line", stroke: found.colour }));
  }
  const size = Math.max(data.width, data.height) / 220;
  for (const [x, y, seen] of points) if (seen >= SEEN) parts.push(element("circle", { cx: x, cy: y, r: size, fill: found.colour, class: "joint" }));
  return parts;
}

function label(objects, stage, holder, data) {
  const scale = stage.clientWidth / data.width;
  const frame = { across: stage.clientWidth, down: stage.clientHeight };
  const taken = [];
  const made = objects.map((found) => placed(`${found.label} ${found.confidence.toFixed(2)}`, found.colour, found.bbox.map((side) => side * scale), frame, taken));
  holder.replaceChildren(...made.filter(Boolean));
}

function list(objects, answer) {
  const count = objects.length;
  answer.querySelector("[data-count]").textContent = count ? `${count} object${count === 1 ? "" : "s"}` : "Nothing at this confidence.";
  const counts = Map.groupBy ? Map.groupBy(objects, (found) => found.label) : new Map();
  answer.querySelector("[data-list]").replaceChildren(
    ...[...counts].map(([name, members]) => {
      const item = document.createElement("li");
      const swatch = Object.assign(document.createElement("i"), { className: "swatch" });
      swatch.style.background = members[0].colour;
      const best = Object.assign(document.createElement("span"), { className: "num", textContent: `${members.length} · best ${members[0].confidence.toFixed(2)}` });
      item.append(swatch, Object.assign(document.createElement("span"), { className: "text-truncate", textContent: name }), best);
      return item;
    }),
  );
}

// --- Where a classifier looked: asked for once, then a switch ---------------------------------------------------------
const PATIENCE = 120_000; // milliseconds: a worker may have to load the checkpoint first

async function heat(button) {
  const stage = button.closest(".answer, .viewer").querySelector(".answer-stage");
  const on = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(on));
  const shownAlready = stage.querySelector(".heat");
  if (shownAlready || !on) return shownAlready && (shownAlready.hidden = !on);
  button.disabled = true;
  say(button, "A worker looks into it…");
  const reason = await lay(stage, button);
  say(button, reason);
  button.setAttribute("aria-pressed", String(!reason));
  button.disabled = false;
}

// Lays the picture over the image; else says why there is none.
async function lay(stage, button) {
  const until = Date.now() + PATIENCE;
  for (let isFirst = true; Date.now() < until; isFirst = false) {
    const answer = await fetch(button.dataset.heat + (isFirst ? "" : "?ask=no"));
    if (answer.status === 200) {
      const picture = Object.assign(new Image(), { className: "heat", alt: "where the model looked", src: URL.createObjectURL(await answer.blob()) });
      stage.append(picture);
      return "";
    }
    if (answer.status !== 202) return answer.status === 409 ? answer.text() : "This cannot be told now. Try again later.";
    const waits = await answer.text();
    if (waits) say(button, waits);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  return "No worker has answered. Try again later.";
}

function say(button, words) {
  const actions = button.closest(".answer-actions");
  let line = actions.nextElementSibling;
  if (!line?.matches("[data-heat-told]")) {
    line = Object.assign(document.createElement("p"), { className: "form-hint", role: "status" });
    line.dataset.heatTold = "";
    actions.after(line);
  }
  line.hidden = !words;
  line.textContent = words;
}

document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-heat]");
  if (button) heat(button);
});

const drawAll = () => document.querySelectorAll(".answer-stage[data-answer]").forEach(draw);
document.addEventListener("htmx:afterSettle", drawAll);
drawAll();
