// What the frame itself does: drawer, toasts, the loading bar, questions before destructive actions, copying, keys.
const root = document.documentElement;
const find = (selector, within = document) => within.querySelector(selector);

// --- Sidebar ---------------------------------------------------------------------------------------------------------
const rail = find(".rail");
const narrow = matchMedia("(max-width: 767.98px)");

function setDrawer(open) {
  root.toggleAttribute("data-drawer", open);
  find("[data-drawer-toggle]")?.setAttribute("aria-expanded", String(open));
  if (open) find("a, button", rail)?.focus();
  else find("[data-drawer-toggle]")?.focus();
}

function toggleRail() {
  if (!rail) return;
  if (narrow.matches) return setDrawer(!root.hasAttribute("data-drawer"));
  const folded = window.touchstone.toggleRail();
  find("[data-rail-toggle]").setAttribute("aria-expanded", String(!folded));
}

find("[data-rail-toggle]")?.setAttribute("aria-expanded", String(root.getAttribute("data-rail") !== "folded"));

// --- Toasts ----------------------------------------------------------------------------------------------------------
const TOAST_LIFE = 6000; // milliseconds; errors stay until they are closed
const toasts = find("#toasts");

function keepAlive(toast) {
  if (toast.dataset.level === "error") return;
  let timer = setTimeout(() => toast.remove(), TOAST_LIFE);
  toast.addEventListener("pointerenter", () => clearTimeout(timer));
  toast.addEventListener("focusin", () => clearTimeout(timer));
  toast.addEventListener("pointerleave", () => (timer = setTimeout(() => toast.remove(), TOAST_LIFE / 2)));
}

export function showToast(text, level = "info") {
  const toast = find("#toast-template").content.firstElementChild.cloneNode(true);
  toast.dataset.level = level;
  find(".note-text", toast).textContent = text;
  find("use", toast).setAttribute("href", toast.dataset.sprite + "#" + ({ success: "check", info: "info" }[level] ?? "alert"));
  toasts.append(toast);
  keepAlive(toast);
}

toasts.querySelectorAll(".note").forEach(keepAlive);
// Servers send them in the header HX-Trigger: {"toast": {"level": "success", "text": "…"}}
document.addEventListener("toast", ({ detail }) => showToast(detail.text ?? detail.value, detail.level));

// --- Requests of htmx: bar on top, old content dimmed, failures in words ---------------------------------------------------
let running = 0;
const isQuiet = (event) => event.detail.elt?.closest("[data-quiet]") !== null;

document.addEventListener("htmx:beforeRequest", (event) => {
  if (isQuiet(event)) return;
  running += 1;
  root.setAttribute("data-busy", "");
  event.detail.target?.classList.add("is-stale");
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (isQuiet(event)) return;
  running = Math.max(0, running - 1);
  root.toggleAttribute("data-busy", running > 0);
  event.detail.target?.classList.remove("is-stale");
});
document.addEventListener("htmx:responseError", (event) => {
  if (isQuiet(event)) return;
  const status = event.detail.xhr.status;
  const words = {
    403: "Your role in this project does not allow that. An admin of the project can change it.",
    404: "That does not exist any more. Reload the page.",
    429: "Too many requests. Wait a moment, then try again.",
  };
  showToast(words[status] ?? `The server answered ${status}. Nothing was changed; try again, or reload the page.`, "error");
});
document.addEventListener("htmx:beforeSwap", (event) => {
  // The session ended: the answer is the log-in page, which belongs into the window, not into a fragment.
  if (new URL(event.detail.xhr.responseURL).pathname !== document.body.dataset.login) return;
  event.detail.shouldSwap = false;
  location.reload();
});
document.addEventListener("htmx:sendError", (event) => {
  if (!isQuiet(event)) showToast("The server cannot be reached. Check your connection, then try again.", "error");
});

// --- Questions before destructive actions ------------------------------------------------------------------------------
const question = find("#question");

function ask(text, label) {
  find(".question-text", question).textContent = text;
  find("[value=yes]", question).textContent = label ?? "Yes, go on";
  question.returnValue = "";
  question.showModal();
  return new Promise((resolve) => {
    question.addEventListener("close", () => resolve(question.returnValue === "yes"), { once: true });
  });
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  const asking = event.submitter?.dataset.confirm ? event.submitter : form;
  if (!asking.dataset.confirm || form.dataset.confirmed) return;
  event.preventDefault();
  if (await ask(asking.dataset.confirm, asking.dataset.confirmLabel)) {
    form.dataset.confirmed = "yes";
    form.requestSubmit(event.submitter);
    delete form.dataset.confirmed;
  }
});
document.addEventListener("htmx:confirm", async (event) => {
  if (!event.detail.question) return;
  event.preventDefault();
  if (await ask(event.detail.question, event.detail.elt.dataset.confirmLabel)) event.detail.issueRequest(true);
});

// --- Clicks --------------------------------------------------------------------------------------------------------------
async function copy(button) {
  const text = button.dataset.copyText ?? find(button.dataset.copy).textContent.trim();
  try {
    await navigator.clipboard.writeText(text);
    showToast("Copied.", "success");
  } catch {
    showToast("The browser does not allow copying here. Select the text and copy it by hand.", "error");
  }
}

const openDialog = (selector) => find(selector)?.showModal();

document.addEventListener("click", (event) => {
  const on = (selector) => event.target.closest(selector);
  if (on("[data-drawer-toggle]") || on("[data-rail-toggle]")) toggleRail();
  else if (on(".drawer-shade")) setDrawer(false);
  else if (on("[data-theme-toggle]")) window.touchstone.toggleTheme();
  else if (on("[data-keys]")) openDialog("#keys");
  else if (on("[data-copy], [data-copy-text]")) copy(on("[data-copy], [data-copy-text]"));
  else if (on(".note-close")) on(".note").remove();
  else if (on("[data-close]")) on("dialog").close();
  else if (event.target instanceof HTMLDialogElement) event.target.close(); // the shade around it
});

// A select or a switch that acts at once; without JavaScript the form's own button does it.
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});

// --- Keys ------------------------------------------------------------------------------------------------------------------
export const isTyping = (target) => target.closest("input:not([type=checkbox], [type=radio], [type=range]), textarea, select, [contenteditable]") !== null;

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && root.hasAttribute("data-drawer")) return setDrawer(false);
  const composed = event.getModifierState("AltGraph"); // [ needs it on many keyboards, which then report Ctrl and Alt
  if ((!composed && (event.ctrlKey || event.altKey)) || event.metaKey || isTyping(event.target) || find("dialog[open]")) return;
  if (event.key === "?") openDialog("#keys");
  else if (event.key === "[") toggleRail();
});
