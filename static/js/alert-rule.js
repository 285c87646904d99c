// The form of a rule: shows the fields that its kind has use for, and says what the threshold means.
const form = document.querySelector("[data-rule-form]");
const hints = {
  baseline: "By how much the score may be worse than the baseline's.",
  previous: "By how much the score may be worse than at the firing before.",
  pass_rate: "The least pass rate, from 0 to 1, such as 0.9.",
  silence: "Minutes without a sign of life.",
};

function show() {
  const kind = form.elements.kind.value;
  for (const part of form.querySelectorAll("[data-kinds]")) part.hidden = !part.dataset.kinds.split(" ").includes(kind);
  form.querySelector("[data-own-scores]").hidden = !form.elements.metric.value.startsWith("custom:");
  form.querySelector("#id_threshold_helptext").textContent = hints[kind];
}

form.addEventListener("change", show);
show();
