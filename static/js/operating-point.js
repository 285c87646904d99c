// The operating point: every move of the slider asks the server for what hangs on the confidence, and puts it in its places. The
// address follows, so that a link shows the same. What a newer move has overtaken is thrown away.

const form = document.querySelector("[data-operating-point]");
const range = form.querySelector("[data-point-range]");
const number = form.querySelector("[data-point-number]");
const PAUSE = 40; // milliseconds without a move
let asking = null;
let timer = null;

function address(confidence) {
  const url = new URL(location.href);
  url.searchParams.set("confidence", confidence);
  url.searchParams.delete("page");
  return url;
}

function put(html) {
  const found = new DOMParser().parseFromString(html, "text/html");
  for (const part of found.querySelectorAll("[data-at-confidence]")) {
    const place = document.getElementById(part.id);
    if (!place) continue;
    place.replaceWith(part);
    window.htmx?.process(part);
  }
}

async function ask(confidence) {
  asking?.abort();
  const mine = (asking = new AbortController());
  const url = address(confidence);
  const late = setTimeout(() => document.querySelectorAll("[data-at-confidence]").forEach((part) => part.classList.add("is-stale")), 150);
  try {
    const answer = await fetch(url, { headers: { "HX-Request": "true" }, signal: mine.signal });
    if (!answer.ok) throw new Error(answer.status);
    put(await answer.text());
    history.replaceState(history.state, "", url);
    for (const link of document.querySelectorAll("a[data-keeps-point]")) {
      const kept = new URL(link.href);
      kept.searchParams.set("confidence", confidence);
      link.href = kept;
    }
    document.dispatchEvent(new CustomEvent("operating-point", { detail: Number(confidence) }));
  } catch (error) {
    // Without the server the form still works: it says what is wrong.
    if (error.name !== "AbortError") location.assign(url);
  } finally {
    clearTimeout(late);
  }
}

function move(confidence) {
  range.value = number.value = confidence;
  clearTimeout(timer);
  timer = setTimeout(ask, PAUSE, confidence);
}

range.addEventListener("input", () => move(range.value));
number.addEventListener("change", () => number.validity.valid && number.value !== "" && move(number.value));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (number.validity.valid && number.value !== "") move(number.value);
});
document.addEventListener("click", (event) => {
  const best = event.target.closest("[data-point-best]");
  if (!best || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  move(best.dataset.pointBest);
});
