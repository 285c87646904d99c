// Drawing labels on images: what the grid and the sample page share. Ground truth is solid, each run has a dash of its own.

const SVG = "http://www.w3.org/2000/svg";

export function element(name, attributes = {}, children = []) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export function read(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

// A box twice: a dark casing below keeps the colour readable on any image.
export function box([x, y, width, height], colour) {
  const place = { x, y, width: Math.max(width, 0.5), height: Math.max(height, 0.5) };
  return [element("rect", { ...place, class: "casing" }), element("rect", { ...place, class: "line", stroke: colour })];
}

// A label beside a box of the screen ([x, y, width, height] in pixels), in the first place within the frame that no
// other label has taken. None where all are taken, unless it has to be there.
const pen = document.createElement("canvas").getContext("2d");
const LABEL_HEIGHT = 17;

export function placed(text, colour, [x, y, width, height], frame, taken, always = false) {
  pen.font = `600 11px ${getComputedStyle(document.body).fontFamily}`;
  const across = Math.min(256, pen.measureText(text).width + 12);
  const down = LABEL_HEIGHT;
  const [right, bottom] = [x + width, y + height];
  const corners = [[x, y - down - 1], [x, y + 1], [right - across, y - down - 1], [x, bottom + 1], [x, bottom - down - 1], [right + 2, y], [x, y + down + 3], [x, y + 2 * down + 5]];
  const inside = ([left, top]) => left >= 0 && top >= 0 && left + across <= frame.across && top + down <= frame.down;
  const clear = ([left, top]) => taken.every((other) => left + across < other.left || other.left + other.across < left || top + down < other.top || other.top + other.down < top);
  const corner = corners.find((each) => inside(each) && clear(each)) || (always ? [Math.max(0, x), Math.max(0, y)] : null);
  if (!corner) return null;
  const [left, top] = corner;
  taken.push({ left, top, across, down });
  const label = Object.assign(document.createElement("span"), { className: "label", textContent: text });
  label.style.cssText = `left:${left}px;top:${top}px;background:${colour}`;
  return label;
}

// Shows the best objects of a layer: those at or above the confidence. `items` are sorted by score, best first.
export class Cut {
  constructor(items) {
    this.items = items;
    this.shown = items.length;
  }

  at(confidence) {
    let low = 0;
    let high = this.items.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.items[middle].score >= confidence) low = middle + 1;
      else high = middle;
    }
    for (let index = low; index < this.shown; index++) this.items[index].node.style.display = "none";
    for (let index = this.shown; index < low; index++) this.items[index].node.style.display = "";
    this.shown = low;
    return low;
  }
}

// The confidence that the address asks for; what is no number between 0 and 1 is left out.
export function startingConfidence(address) {
  const wanted = Number.parseFloat(address.get("conf"));
  return wanted >= 0 && wanted <= 1 ? wanted : 0.25;
}

// Many changes of a slider within one frame become one.
export function eachFrame(work) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      work();
    });
  };
}

// The address always holds what is seen, so that a link shows it to others; it makes no history.
export function remember(changes) {
  const address = new URL(location.href);
  for (const [key, value] of Object.entries(changes)) {
    if (value === null || value === "") address.searchParams.delete(key);
    else address.searchParams.set(key, value);
  }
  history.replaceState(history.state, "", address);
  return address.searchParams;
}

export function typing(event) {
  return event.target.closest("input:not([type=range]):not([type=checkbox]), select, textarea, dialog") || event.ctrlKey || event.metaKey || event.altKey;
}
