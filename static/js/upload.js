// A drop zone that uploads at once, in pieces that survive broken connections and reloads (the tus protocol), and a form that
// waits for it. Without this module the file goes with the form.
const tus = window.tus;
const PIECE = 16 * 1024 * 1024; // bytes
const RATE_OVER = 5000; // milliseconds that the rate looks back
const RETRIES = [0, 1000, 3000, 5000, 10000, 20000];
const KEPT = 7 * 24 * 3600 * 1000; // milliseconds that the server keeps what is unfinished

const UNITS = ["bytes", "KB", "MB", "GB", "TB"];

function bytesInWords(bytes) {
  let step = 0;
  while (bytes >= 1000 && step < UNITS.length - 1) [bytes, step] = [bytes / 1024, step + 1];
  return `${step && bytes < 100 ? bytes.toFixed(1) : Math.round(bytes)} ${UNITS[step]}`;
}

function secondsInWords(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

// What the server says of a refusal, or what is wrong with the connection.
function errorInWords(error) {
  const answer = error.originalResponse;
  if (!answer) return "The server cannot be reached. What arrived is kept: try again to go on.";
  if (answer.getStatus() === 401 || answer.getStatus() === 403) {
    return `${problemOf(answer) ?? "You are logged out."} If your log-in ended, log in again in another tab, then try again.`;
  }
  return problemOf(answer) ?? `The server answered ${answer.getStatus()}. What arrived is kept: try again to go on.`;
}

function problemOf(answer) {
  try {
    const problem = JSON.parse(answer.getBody());
    return [problem.detail, problem.remedy].filter(Boolean).join(" ");
  } catch {
    return null;
  }
}

class DropZone {
  constructor(zone) {
    this.zone = zone;
    this.input = zone.querySelector("input[type=file]");
    this.kept = zone.querySelector("input[type=hidden]");
    this.bar = zone.querySelector("progress");
    zone.classList.add("is-live");
    if (!zone.dataset.state) this.show("empty");
    this.input.addEventListener("change", () => this.input.files[0] && this.take(this.input.files[0]));
    this.on("[data-upload-pause]", () => this.pause());
    this.on("[data-upload-resume]", () => this.go());
    this.on("[data-upload-retry]", () => this.go());
    this.on("[data-upload-remove]", () => this.clear());
    for (const kind of ["dragenter", "dragover"]) zone.addEventListener(kind, () => zone.setAttribute("data-over", ""));
    for (const kind of ["dragleave", "drop"]) zone.addEventListener(kind, () => zone.removeAttribute("data-over"));
    this.tellInterrupted();
  }

  on(selector, act) {
    this.zone.querySelector(selector).addEventListener("click", act);
  }

  write(selector, text) {
    this.zone.querySelector(selector).textContent = text;
  }

  // empty, sending, paused, failed or done; the style sheet shows what belongs to it.
  show(state) {
    this.zone.dataset.state = state;
    this.zone.dispatchEvent(new CustomEvent("upload:state", { bubbles: true, detail: { state } }));
  }

  get isBusy() {
    return ["sending", "paused", "failed"].includes(this.zone.dataset.state);
  }

  async take(file) {
    this.forget();
    this.write(".drop-name", file.name);
    this.write(".drop-size", bytesInWords(file.size));
    this.write(".drop-figures", "");
    this.bar.value = 0;
    this.input.value = ""; // what is uploaded is not sent with the form once more
    this.upload = this.prepare(file);
    const [earlier] = await this.upload.findPreviousUploads();
    if (earlier) this.upload.resumeFromPreviousUpload(earlier);
    this.go();
  }

  prepare(file) {
    const { endpoint, project } = this.zone.dataset;
    this.marks = [];
    return new tus.Upload(file, {
      endpoint,
      chunkSize: PIECE,
      retryDelays: RETRIES,
      metadata: { filename: file.name, project },
      headers: { "X-CSRFToken": this.zone.closest("form").elements.csrfmiddlewaretoken.value },
      fingerprint: async () => ["touchstone", project, file.name, file.size, file.lastModified].join("-"),
      removeFingerprintOnSuccess: true,
      onShouldRetry: (error) => {
        const status = error.originalResponse?.getStatus() ?? 0;
        return status === 0 || status === 409 || status === 429 || (status >= 500 && status !== 507);
      },
      onProgress: (sent, total) => this.tell(sent, total),
      onError: (error) => this.fail(error),
      onSuccess: () => this.finish(),
    });
  }

  go() {
    this.marks = [];
    this.write(".drop-error", "");
    this.show("sending");
    this.upload.start();
  }

  async pause() {
    await this.upload.abort();
    this.show("paused");
  }

  tell(sent, total) {
    const now = performance.now();
    this.marks.push([now, sent]);
    while (this.marks.length > 2 && now - this.marks[0][0] > RATE_OVER) this.marks.shift();
    const [since, had] = this.marks[0];
    const rate = now > since ? (1000 * (sent - had)) / (now - since) : 0; // bytes per second
    this.bar.value = total ? (100 * sent) / total : 100;
    const figures = [`${bytesInWords(sent)} of ${bytesInWords(total)}`];
    if (rate > 0) figures.push(`${bytesInWords(rate)}/s`, `${secondsInWords((total - sent) / rate)} left`);
    this.write(".drop-figures", figures.join(", "));
  }

  fail(error) {
    this.write(".drop-error", errorInWords(error));
    this.show("failed");
  }

  finish() {
    this.kept.value = this.upload.url.replace(/\/$/, "").split("/").pop();
    this.write(".drop-figures", "");
    this.show("done");
  }

  // A removed file is given up on the server as well.
  forget() {
    this.upload?.abort(true).catch(() => {});
    this.upload = null;
    this.kept.value = "";
  }

  clear() {
    this.forget();
    this.input.value = "";
    this.show("empty");
    this.input.focus();
  }

  async tellInterrupted() {
    if (this.zone.classList.contains("drop-compact") || this.zone.dataset.state !== "empty") return;
    const all = await tus.defaultOptions.urlStorage.findAllUploads();
    const mine = all.filter(({ metadata, creationTime }) => metadata?.project === this.zone.dataset.project && Date.now() - new Date(creationTime) < KEPT);
    const newest = mine.sort((a, b) => new Date(b.creationTime) - new Date(a.creationTime))[0];
    if (!newest) return;
    const hint = this.zone.querySelector(".drop-hint");
    hint.textContent = `The upload of ${newest.metadata.filename} was interrupted: choose the same file, and it goes on where it stopped.`;
  }
}

// --- Forms wait for their uploads ------------------------------------------------------------------------------------
function keepWaiting(form, zones) {
  const button = form.querySelector(".form-actions .btn-primary");
  const words = button.innerHTML;
  let waiting = false;
  const busy = () => zones.filter((zone) => zone.isBusy && zone.zone.offsetParent);

  form.addEventListener("submit", (event) => {
    if (!busy().length) return;
    event.preventDefault();
    waiting = true;
    button.textContent = "Goes on when the upload is done";
  });
  form.addEventListener("upload:state", ({ detail }) => {
    if (!waiting || detail.state === "sending") return;
    if (detail.state === "done" && !busy().length) return form.requestSubmit();
    if (detail.state === "done") return;
    waiting = false;
    button.innerHTML = words;
  });
  window.addEventListener("beforeunload", (event) => {
    if (busy().some((zone) => zone.zone.dataset.state === "sending")) event.preventDefault();
  });
}

// A file dropped beside the zone would otherwise open in the window, and the page with all that was typed would be gone.
function catchDrops(zones) {
  const reachable = () => zones.filter((zone) => zone.zone.offsetParent);
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    const file = event.dataTransfer.files[0];
    const zone = reachable().find((each) => each.zone.contains(event.target)) ?? reachable()[0];
    if (file && zone) zone.take(file);
  });
}

if (tus?.isSupported) {
  for (const form of document.querySelectorAll("[data-upload-form]")) {
    const zones = [...form.querySelectorAll("[data-upload]")].map((zone) => new DropZone(zone));
    keepWaiting(form, zones);
    catchDrops(zones);
  }
}
