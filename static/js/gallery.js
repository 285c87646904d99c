// Boxes on the thumbnails of a job's results.

import { box, element, read } from "./overlay.js";

if (document.getElementById("thumbs")) {
  const { images } = read("thumbs");
  for (const thumb of document.querySelectorAll("[data-boxes]")) {
    const found = images[thumb.dataset.boxes];
    if (!found?.boxes.length) continue;
    const picture = element("svg", { viewBox: `0 0 ${found.w} ${found.h}`, class: "overlay predicted dash-1", "aria-hidden": "true" });
    for (const [colour, ...place] of found.boxes) picture.append(...box(place, colour));
    thumb.append(picture);
  }
}
