// Moving on the heat map: keys, pointer, wheel.

function heatKeys(event) {
  const map = plane(attention(), state.head);
  const page = Math.max(1, Math.floor(heat.height / heat.cell) - 1);
  const far = event.ctrlKey || event.metaKey;
  const target = {
    ArrowLeft: { key: state.key - 1 },
    ArrowRight: { key: state.key + 1 },
    ArrowUp: { query: state.query - 1 },
    ArrowDown: { query: state.query + 1 },
    PageUp: { query: state.query - page },
    PageDown: { query: state.query + page },
    Home: far ? { query: 0, key: 0 } : { key: 0 },
    End: far ? { query: map.queries - 1, key: map.keys - 1 } : { key: map.keys - 1 },
  }[event.key];
  if (target) {
    event.preventDefault();
    heat.hover = null;
    change({ ...target, chosen: true });
    reveal();
  }
}

/** Move the window so that the selected weight is in it. */
function reveal() {
  const wide = heat.width / heat.cell, tall = heat.height / heat.cell;
  heat.x = Math.min(state.key, Math.max(heat.x, state.key + 1 - wide));
  heat.y = Math.min(state.query, Math.max(heat.y, state.query + 1 - tall));
  drawHeat();
}

function cellAt(event) {
  const box = heat.canvas.getBoundingClientRect(), map = plane(attention(), state.head);
  const key = Math.floor((event.clientX - box.left - heat.left) / heat.cell + heat.x);
  const query = Math.floor((event.clientY - box.top - heat.top) / heat.cell + heat.y);
  const inside = event.clientX - box.left >= heat.left && event.clientY - box.top >= heat.top;
  return inside && key >= 0 && key < map.keys && query >= 0 && query < map.queries ? { query, key } : null;
}

function heatPointer(canvas) {
  let start = null;
  canvas.addEventListener("pointerdown", (event) => {
    start = { px: event.clientX, py: event.clientY, x: heat.x, y: heat.y, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (start && Math.hypot(event.clientX - start.px, event.clientY - start.py) > 4) start.moved = true;
    if (start?.moved) {
      heat.x = start.x - (event.clientX - start.px) / heat.cell;
      heat.y = start.y - (event.clientY - start.py) / heat.cell;
      drawHeat();
    } else {
      hover(cellAt(event));
    }
  });
  canvas.addEventListener("pointerup", (event) => {
    const at = cellAt(event);
    if (at && start && !start.moved) change({ ...at, chosen: true });
    start = null;
  });
  canvas.addEventListener("pointercancel", () => { start = null; });
  canvas.addEventListener("pointerleave", () => hover(null));
}

function hover(at) {
  if (at?.query === heat.hover?.query && at?.key === heat.hover?.key) return;
  heat.hover = at;
  drawHeat();
  describe(at ?? state);
}

function heatWheel(event) {
  if (event.ctrlKey || event.metaKey) {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 300), event);
    return;
  }
  const before = [heat.x, heat.y];
  const [dx, dy] = event.shiftKey ? [event.deltaY, 0] : [event.deltaX, event.deltaY];
  heat.x += dx / heat.cell;
  heat.y += dy / heat.cell;
  drawHeat();
  // At its edge the map hands the wheel back to the page.
  if (heat.x !== before[0] || heat.y !== before[1]) event.preventDefault();
}

/** Larger or smaller cells, the one under the pointer (or the selected one) staying where it is. */
function zoom(by, event = null) {
  const box = heat.canvas.getBoundingClientRect();
  const px = event ? event.clientX - box.left - heat.left : (state.key + 0.5 - heat.x) * heat.cell;
  const py = event ? event.clientY - box.top - heat.top : (state.query + 0.5 - heat.y) * heat.cell;
  const [key, query] = [heat.x + px / heat.cell, heat.y + py / heat.cell];
  heat.cell = by === 0 ? 0 : heat.cell * by;
  drawHeat();
  heat.x = key - px / heat.cell;
  heat.y = query - py / heat.cell;
  drawHeat();
}
