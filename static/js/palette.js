// Ctrl-K: jump to any project, dataset, run or page. The server finds and groups; arrows and Enter choose.
import { isTyping } from "./frame.js";

const dialog = document.querySelector("#palette");
const field = dialog.querySelector("input");
const list = dialog.querySelector("#palette-list");
const PAUSE = 120; // milliseconds of quiet before asking
let timer;
let asked = 0;

const places = () => [...list.querySelectorAll("[role=option]")];
const chosen = () => list.querySelector("[aria-selected=true]");

function choose(place) {
  chosen()?.setAttribute("aria-selected", "false");
  place?.setAttribute("aria-selected", "true");
  place?.scrollIntoView({ block: "nearest" });
  if (place) field.setAttribute("aria-activedescendant", place.id);
  else field.removeAttribute("aria-activedescendant");
}

function step(by) {
  const all = places();
  if (all.length) choose(all[(all.indexOf(chosen()) + by + all.length) % all.length]);
}

async function search() {
  const mine = ++asked;
  const query = new URLSearchParams({ q: field.value.trim() });
  try {
    const answer = await fetch(`${dialog.dataset.url}?${query}`, { headers: { "HX-Request": "true" } });
    if (answer.redirected) return location.reload(); // the session ended
    if (mine !== asked || !answer.ok) return; // a later question is under way
    list.innerHTML = await answer.text();
    choose(places()[0]);
  } catch {
    list.innerHTML = '<p class="palette-none">The server cannot be reached.</p>';
  }
}

function open() {
  field.value = "";
  dialog.showModal();
  field.focus();
  search();
}

field.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(search, PAUSE);
});
field.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown") step(1);
  else if (event.key === "ArrowUp") step(-1);
  else if (event.key === "Enter") chosen()?.click();
  else return;
  event.preventDefault();
});
list.addEventListener("pointermove", (event) => choose(event.target.closest("[role=option]") ?? chosen()));
document.addEventListener("click", (event) => event.target.closest("[data-palette]") && open());
document.addEventListener("keydown", (event) => {
  const shortcut = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k";
  if (!shortcut || (isTyping(event.target) && event.target !== field && document.querySelector("dialog[open]"))) return;
  event.preventDefault();
  if (dialog.open) dialog.close();
  else open();
});
