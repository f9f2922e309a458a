// What stands at the edges of the heat map: tokens, and where its window is.

/** Tokens at the left and on top: as many as have room, the selected ones always. */
function drawNames(context, map) {
  const { cell, left, top } = heat;
  const at = heat.hover ?? state;
  const each = (names, count, room, paint, chosen, start, size) => {
    const every = Math.max(1, Math.ceil(13 / cell));
    const [first, last] = [Math.floor(start), Math.min(count, Math.ceil(start + size / cell) + 1)];
    for (let i = first; i < last; i++) {
      const place = i === chosen;
      if (i % every && !place) continue;
      if (!place && Math.abs(i - chosen) * cell < 13 && cell < 13) continue;
      context.font = `${place ? "600 " : ""}12px ${ink("font")}`;
      context.fillStyle = place ? ink("accent") : ink("soft");
      paint(fitted(context, names[i], room), i);
    }
  };
  context.textBaseline = "middle";
  context.textAlign = "right";
  context.direction = "ltr";
  each(rowNames(), map.queries, left - 8, (name, q) => {
    const py = top + (q + 0.5 - heat.y) * cell;
    if (py > top - 2 && py < top + heat.height + 2) context.fillText(name, left - 6, py);
  }, at.query, heat.y, heat.height);
  each(keyNames(), map.keys, top - 10, (name, k) => {
    const px = left + (k + 0.5 - heat.x) * cell;
    if (px < left - 2 || px > left + heat.width + 2) return;
    const upright = name.length <= 2 && context.measureText(name).width <= cell;
    context.save();
    context.translate(px, top - (upright ? 12 : 6));
    context.textAlign = upright ? "center" : "left";
    if (!upright) context.rotate(-Math.PI / 2);
    context.fillText(name, 0, 0);
    context.restore();
  }, at.key, heat.x, heat.width);
}

function fitted(context, name, room) {
  const points = Array.from(name.slice(0, 60)).slice(0, 24), cut = points.length < name.length;
  let text = cut ? `${points.join("")}…` : name;
  while (points.length > 1 && context.measureText(text).width > room) {
    points.pop();
    text = `${points.join("")}…`;
  }
  return text;
}

/** Where the window stands on a map that is larger. */
function drawBars(context, map) {
  const { cell, left, top, width, height, x, y } = heat;
  context.fillStyle = ink("cursor");
  if (map.keys * cell > width + 1) context.fillRect(left + (x / map.keys) * width, top + height - 3, (width / cell / map.keys) * width, 3);
  if (map.queries * cell > height + 1) context.fillRect(left + width - 3, top + (y / map.queries) * height, 3, (height / cell / map.queries) * height);
}
