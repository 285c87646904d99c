// Small things of the import pages: choosing a path by looking around, and a report that stays as it was opened when it is renewed.
document.addEventListener("click", (event) => {
  const choice = event.target.closest("[data-choose]");
  if (!choice) return;
  const field = document.querySelector(`#id_${choice.dataset.chooseFor}`);
  field.value = choice.dataset.choose;
  document.querySelector(`#folders-${choice.dataset.chooseFor}`).replaceChildren();
  field.focus();
});

let opened = null;
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const details = [...detail.target.querySelectorAll("details[id]")];
  if (details.length) opened = new Map(details.map((each) => [each.id, each.open]));
});
document.addEventListener("htmx:afterSwap", () => {
  if (!opened) return;
  for (const each of document.querySelectorAll("#import-state details[id]")) {
    if (opened.has(each.id)) each.open = opened.get(each.id);
  }
});
