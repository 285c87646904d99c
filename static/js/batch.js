// A batch on its way: dropped files, and how much of them has arrived.

const form = document.querySelector("form[data-sent]");
const drop = document.querySelector("[data-drop]");
const input = document.getElementById("id_files");
const chosen = document.querySelector("[data-chosen]");

function tell() {
  const files = [...input.files];
  const size = files.reduce((sum, file) => sum + file.size, 0) / 1e6;
  if (files.length) chosen.textContent = `${files.length} file${files.length === 1 ? "" : "s"}, ${size.toFixed(1)} MB`;
}

if (form) {
  input.addEventListener("change", tell);
  for (const event of ["dragover", "dragenter"]) {
    drop.addEventListener(event, (dragged) => {
      dragged.preventDefault();
      drop.classList.add("is-over");
    });
  }
  drop.addEventListener("dragleave", () => drop.classList.remove("is-over"));
  drop.addEventListener("drop", (dropped) => {
    dropped.preventDefault();
    drop.classList.remove("is-over");
    // What lies in a folder beside images (Thumbs.db, notes) stays there.
    const transfer = new DataTransfer();
    for (const file of dropped.dataTransfer.files) if (file.type.startsWith("image/") || file.name.endsWith(".zip")) transfer.items.add(file);
    input.files = transfer.files;
    tell();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
}

function send() {
  const bar = form.querySelector("progress");
  const figures = form.querySelector("[data-figures]");
  const button = form.querySelector("button.btn-primary");
  const request = new XMLHttpRequest();
  bar.hidden = false;
  button.disabled = true;
  request.upload.addEventListener("progress", ({ loaded, total }) => {
    bar.value = (100 * loaded) / total;
    figures.textContent = `${(loaded / 1e6).toFixed(1)} of ${(total / 1e6).toFixed(1)} MB`;
  });
  request.addEventListener("load", () => {
    if (request.status === 200) return location.assign(request.responseURL);
    // The form comes back with what is wrong with it.
    const page = new DOMParser().parseFromString(request.responseText, "text/html");
    const errors = [...page.querySelectorAll(".form-error, .callout-danger")].map((each) => each.textContent.trim());
    stop(errors.join(" ") || `The server answered ${request.status}.`);
  });
  request.addEventListener("error", () => stop("The server cannot be reached. Check your connection, then try again."));
  request.open("POST", form.action);
  request.send(new FormData(form));

  function stop(text) {
    bar.hidden = true;
    button.disabled = false;
    figures.textContent = text;
    figures.classList.add("text-danger");
  }
}
