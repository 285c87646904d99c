// Which candidates are shown at a confidence and an overlap: non-maximum suppression, class by class. As inference/suppression.py does it.

export function shown(objects, confidence, iou) {
  const kept = [];
  for (const found of [...objects].sort((one, other) => other.confidence - one.confidence)) {
    if (found.confidence < confidence) break;
    if (kept.every((each) => each.label_id !== found.label_id || overlap(each.bbox, found.bbox) <= iou)) kept.push(found);
  }
  return kept;
}

export function overlap(one, other) {
  const width = Math.min(one[0] + one[2], other[0] + other[2]) - Math.max(one[0], other[0]);
  const height = Math.min(one[1] + one[3], other[1] + other[3]) - Math.max(one[1], other[1]);
  if (width <= 0 || height <= 0) return 0;
  const common = width * height;
  return common / (one[2] * one[3] + other[2] * other[3] - common);
}
