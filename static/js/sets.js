// Items of sets: ticked rows and the bar below them, and examples of validators. Pages that collect for a golden set share it.

// The bar's form stands beside the table, so that rows may hold forms of their own; boxes name it.
const belonging = (form, kind) => [...form.elements].filter((each) => each.matches(kind));
const boxes = (form) => belonging(form, "[data-select]");

function showSelection(form) {
  const bar = form.querySelector("[data-selection-bar]");
  if (!bar || "always" in bar.dataset) return;
  const count = boxes(form).filter((box) => box.checked).length;
  bar.hidden = !count;
  bar.querySelector("[data-selection-count]").textContent = `${count} selected`;
  const [all] = belonging(form, "[data-select-all]");
  if (all) {
    all.checked = count > 0 && count === boxes(form).length;
    all.indeterminate = count > 0 && !all.checked;
  }
}

function showName(select) {
  const name = select.form.querySelector("[data-collect-name]");
  name.hidden = select.value !== "";
  name.disabled = name.hidden;
  name.required = !name.hidden;
}

function refresh() {
  for (const form of document.querySelectorAll("form[data-selection]")) showSelection(form);
  for (const select of document.querySelectorAll("[data-collect-set]")) showName(select);
}

const formOf = (box) => box.form?.closest("[data-selection]");

document.addEventListener("change", ({ target }) => {
  if (target.matches("[data-collect-set]")) showName(target);
  if (target.matches("[data-select-all]")) for (const box of boxes(formOf(target))) box.checked = target.checked;
  if (target.matches("[data-select], [data-select-all]") && formOf(target)) showSelection(formOf(target));
});

// Shift takes all between the last ticked one and this.
let last = null;
document.addEventListener("click", (event) => {
  const box = event.target.closest?.("[data-select]");
  if (box && formOf(box)) {
    const all = boxes(formOf(box));
    if (event.shiftKey && last && all.includes(last)) {
      const [from, to] = [all.indexOf(last), all.indexOf(box)].sort((one, other) => one - other);
      for (const between of all.slice(from, to + 1)) between.checked = box.checked;
      showSelection(formOf(box));
    }
    last = box;
  }
  const example = event.target.closest?.("[data-example]");
  if (example) insertExample(example);
});

function insertExample(button) {
  const field = document.getElementById(button.dataset.exampleFor);
  let list = [];
  try {
    list = field.value.trim() ? JSON.parse(field.value) : [];
  } catch {
    field.focus();
    return; // what somebody is typing is never overwritten
  }
  list.push(JSON.parse(button.dataset.example));
  field.value = `[\n  ${list.map((each) => JSON.stringify(each)).join(",\n  ")}\n]`;
  field.focus();
}

// A table that is renewed keeps what is ticked.
let ticked = new Set();
document.addEventListener("htmx:beforeSwap", () => {
  ticked = new Set([...document.querySelectorAll("[data-select]:checked")].map((box) => `${box.name}=${box.value}`));
});
document.addEventListener("htmx:afterSettle", () => {
  for (const box of document.querySelectorAll("[data-select]")) if (ticked.has(`${box.name}=${box.value}`)) box.checked = true;
  refresh();
});

// S on the page of one thing: choose the set for it.
document.addEventListener("keydown", (event) => {
  if (event.key !== "s" || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
  document.querySelector("[data-always] [data-collect-set]")?.focus();
});

refresh();
