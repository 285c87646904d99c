// Answers of a job: whitespace made visible, open texts kept open over a refresh, epochs by slider and arrow keys.

const SIGNS = { " ": "·", "\n": "↵\n", "\t": "→\t", "\u00a0": "⍽" };
let shown = false;

function showBlanks(within) {
  for (const text of within.querySelectorAll(".said")) {
    const walker = document.createTreeWalker(text, NodeFilter.SHOW_TEXT);
    const nodes = [];
    while (walker.nextNode()) nodes.push(walker.currentNode);
    for (const node of nodes) node.replaceWith(...marked(node.data));
  }
}

function marked(text) {
  return text.split(/([ \n\t\u00a0])/).filter(Boolean).map((part) => {
    if (!(part in SIGNS)) return document.createTextNode(part);
    return Object.assign(document.createElement("span"), { className: "blank", textContent: SIGNS[part] });
  });
}

function hideBlanks(within) {
  const back = Object.fromEntries(Object.entries(SIGNS).map(([blank, sign]) => [sign, blank]));
  for (const sign of within.querySelectorAll(".said .blank")) sign.replaceWith(document.createTextNode(back[sign.textContent] ?? sign.textContent));
  for (const text of within.querySelectorAll(".said")) text.normalize();
}

function setBlanks(on) {
  shown = on;
  (on ? showBlanks : hideBlanks)(document);
  for (const box of document.querySelectorAll("[data-whitespace]")) box.checked = on;
}

document.addEventListener(
  "change",
  (event) => {
    const { target } = event;
    if (target.matches("[data-submit]")) target.form.requestSubmit();
    if (!target.matches("[data-whitespace]")) return;
    // It only changes what is seen: the form around it shall not load the table again.
    event.stopPropagation();
    setBlanks(target.checked);
  },
  { capture: true },
);

// The first answers turn an empty page into another one.
document.body.addEventListener("answers-changed", () => document.querySelector("[data-first-answers]") && location.reload());

// --- A refresh keeps what is open, and where one is --------------------------------------------------------------------
let open = [];
document.addEventListener("htmx:beforeSwap", () => {
  open = [...document.querySelectorAll("details[data-keep][open]")].map((each) => each.dataset.keep);
});
document.addEventListener("htmx:afterSettle", (event) => {
  for (const name of open) document.querySelector(`details[data-keep="${CSS.escape(name)}"]`)?.setAttribute("open", "");
  if (shown) for (const box of document.querySelectorAll("[data-whitespace]")) box.checked = true;
  const fresh = document.getElementById(event.detail.elt?.id) ?? document;
  if (shown && !fresh.querySelector(".said .blank")) showBlanks(fresh);
});

// --- One item over the epochs --------------------------------------------------------------------------------------------
const epochs = () => [...document.querySelectorAll("#moment .strip a")];
const current = () => epochs().findIndex((link) => link.hasAttribute("aria-current"));

document.addEventListener("change", ({ target }) => {
  if (target.matches("[data-moments]")) epochs()[Number(target.value)]?.click();
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=range], [type=checkbox]), textarea, select")) return;
  if (event.key === "w") setBlanks(!shown);
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step || !document.querySelector("#moment") || event.target.matches("[type=range]")) return;
  event.preventDefault();
  epochs()[current() + step]?.click();
});
