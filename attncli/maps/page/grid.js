// All heads as thumbnails: one button each, arrows move among them.

const THUMB = 76;
let thumbs = [];
let observer;

function buildGrid() {
  const grid = byId("grid");
  observer?.disconnect();
  observer = new IntersectionObserver((seen) => {
    for (const entry of seen) if (entry.isIntersecting) waiting.add(entry.target);
    drawWaiting();
  }, { rootMargin: "400px" });
  grid.replaceChildren();
  thumbs = [];
  if (state.sort === "model") {
    sample().attentions.forEach((one, place) => {
      const part = make("section", "layer");
      part.append(make("h3", "", one.address), make("span", "kernel", `${one.shape[1]} × ${one.shape[2]} · ${one.kernel}`));
      part.append(heads(one.statistics.entropy.map((_, head) => [place, head])));
      grid.append(part);
    });
  } else {
    const all = sample().attentions.flatMap((one, place) =>
      one.statistics.entropy.map((_, head) => [place, head, statistic(one, head, state.sort)])).filter(([, , value]) => value !== null);
    all.sort((a, b) => b[2] - a[2]);
    grid.append(heads(all));
  }
  byId("sort-note").textContent = STATISTICS[state.sort]?.[1] ?? "Share of its mass that goes where the role says, on average.";
  markThumb();
}

function heads(list) {
  const row = make("div", "heads");
  for (const [place, head, value] of list) {
    const one = sample().attentions[place], button = make("button", "head");
    button.type = "button";
    button.dataset.place = `${place}/${head}`;
    const sorted = value !== undefined;
    const canvas = make("canvas", "thumb"), name = make("span", "name", sorted ? `${one.address} · ${head}` : `head ${head}`);
    canvas.width = canvas.height = THUMB * 2;
    const number = make("span", "value", sorted ? told(value, state.sort) : ""), role = roleOf(one, head);
    button.append(canvas, name, " ", number);
    if (role) button.append(" ", make("span", "role", role.name));
    // What can be read on it comes first, so that who speaks to the page can say what they see.
    const seen = [name.textContent, number.textContent, role?.name].filter(Boolean).join(" ");
    button.setAttribute("aria-label", `${seen}, ${sorted ? state.sort : one.address}`);
    button.classList.toggle("fault", one.faults.length > 0);
    button.addEventListener("click", () => change({ attention: place, head }));
    button.addEventListener("keydown", (event) => moveThumb(event, thumbs.indexOf(button)));
    thumbs.push(button);
    observer.observe(button);
    row.append(button);
  }
  return row;
}

const waiting = new Set();

/** A few at a time, so that the page answers meanwhile. */
function drawWaiting() {
  const until = performance.now() + 12;
  for (const button of waiting) {
    if (performance.now() > until) {
      requestAnimationFrame(drawWaiting);
      return;
    }
    waiting.delete(button);
    if (button.isConnected) drawThumb(button);
  }
}

function drawThumb(button) {
  const look = `${state.colours}/${state.scale}/${state.far}/${isDark()}/${state.method}`;
  if (button.dataset.look === look) return;
  button.dataset.look = look;
  const [place, head] = button.dataset.place.split("/").map(Number);
  const of = sample().attentions[place], context = button.firstChild.getContext("2d");
  context.clearRect(0, 0, THUMB * 2, THUMB * 2);
  if (methodOf(of) !== state.method) return;
  const map = plane(of, head);
  const columns = Math.min(map.keys, THUMB * 2), rows = Math.min(map.queries, THUMB * 2);
  const small = shrink(map, 0, 0, map.keys, map.queries, columns, rows, state.far);
  const scaleOf = (y) => largestOf(map, Math.min(map.queries - 1, Math.floor((y / rows) * map.queries)));
  context.imageSmoothingEnabled = false;
  context.drawImage(painted(small, columns, rows, palette(map), scaleOf), 0, 0, THUMB * 2, THUMB * 2);
}

/** Draw what is in sight again, after colours or scale have changed. */
function redrawThumbs() {
  for (const button of thumbs) {
    observer.unobserve(button);
    observer.observe(button);
  }
}

function markThumb() {
  const wanted = `${state.attention}/${state.head}`;
  for (const button of thumbs) {
    const selected = button.dataset.place === wanted;
    button.setAttribute("aria-pressed", String(selected));
    button.tabIndex = selected ? 0 : -1;
  }
}

/** Left and right by one, up and down by what stands above or below on the screen. */
function moveThumb(event, from) {
  const box = (button) => button.getBoundingClientRect();
  const middle = box(thumbs[from]).left;
  const near = (candidates) => candidates.reduce((best, button) =>
    !best || Math.abs(box(button).top - box(thumbs[from]).top) * 4 + Math.abs(box(button).left - middle)
      < Math.abs(box(best).top - box(thumbs[from]).top) * 4 + Math.abs(box(best).left - middle) ? button : best, null);
  const top = box(thumbs[from]).top;
  const target = {
    ArrowLeft: () => thumbs[from - 1],
    ArrowRight: () => thumbs[from + 1],
    ArrowUp: () => near(thumbs.filter((button) => box(button).top < top - 8)),
    ArrowDown: () => near(thumbs.filter((button) => box(button).top > top + 8)),
    Home: () => thumbs[0],
    End: () => thumbs[thumbs.length - 1],
  }[event.key]?.();
  if (!target) return;
  event.preventDefault();
  target.focus();
  target.click();
}

/** The head before or after the selected one, in the order of the grid. */
function stepHead(by) {
  const from = thumbs.findIndex((button) => button.getAttribute("aria-pressed") === "true");
  const target = thumbs[Math.max(0, Math.min(thumbs.length - 1, from + by))];
  target.click();
  target.scrollIntoView({ block: "nearest" });
}
