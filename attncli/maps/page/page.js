// The page: header, selectors, views, certificate; and who redraws when the selection changes.

function byId(id) {
  return document.getElementById(id);
}

/** An element with a class and a text. The only way that text enters this page. */
function make(tag, kind = "", text = "") {
  const element = document.createElement(tag);
  if (kind) element.className = kind;
  if (text !== "") element.textContent = text;
  return element;
}

function tableRow(tag, cells) {
  const row = make("tr");
  row.append(...cells.map((cell) => make(tag, "", String(cell))));
  return row;
}

/** A button that looks like a link, for tables. */
function plainButton(text, does) {
  const button = make("button", "plain", text);
  button.type = "button";
  button.addEventListener("click", does);
  return button;
}

function pairs(list, entries) {
  list.replaceChildren(...entries.map(([name, value]) => {
    const pair = make("div");
    pair.append(make("dt", "", name), make("dd", "", value));
    return pair;
  }));
}

function redraw(changed) {
  const any = (...names) => names.some((name) => changed.has(name));
  if (any("sample")) showSample();
  if (any("sample", "sort")) buildGrid();
  else if (any("colours", "scale", "far", "method")) redrawThumbs();
  markThumb();
  if (any("sample", "attention", "head")) showHead();
  if (any("sample", "attention", "view", "rows")) showView();
  else VIEWS[state.view].draw();
  showLegend();
  (VIEWS[state.view].say ?? describe)(state);
}

function showHead() {
  const one = attention();
  byId("detail-title").textContent = `${one.address} · head ${state.head}`;
  const entries = Object.keys(STATISTICS).filter((name) => name !== "model");
  const role = roleOf(one, state.head), numbers = entries.map((name) => [STATISTICS[name][0], told(statistic(one, state.head, name), name)]);
  if (role) numbers.push(["role", `${role.name} ${Number(role.score).toFixed(2)}`]);
  pairs(byId("numbers"), numbers);
}

function showView() {
  for (const view of Object.keys(VIEWS)) {
    const tab = byId(`tab-${view}`);
    tab.setAttribute("aria-selected", String(view === state.view));
    tab.tabIndex = view === state.view ? 0 : -1;
  }
  byId("panel").setAttribute("aria-labelledby", `tab-${state.view}`);
  byId("zoom").hidden = state.view !== "heat";
  const own = Boolean(VIEWS[state.view].sheet), one = attention();
  for (const name of ["scale", "far"]) byId(name).parentElement.hidden = own;
  byId("rows-field").hidden = own || one.writes === null || one.kind === "self";
  const panel = byId("panel"), focused = panel.contains(document.activeElement);
  VIEWS[state.view].show(panel);
  if (focused) panel.querySelector("[tabindex='0']")?.focus({ preventScroll: true });
}

function listen() {
  for (const name of ["sort", "scale", "colours", "rows", "far"]) byId(name).addEventListener("change", (event) => change({ [name]: event.target.value }));
  byId("samples").addEventListener("change", (event) => {
    const chosen = { sample: clamp(event.target.value, data.samples.length) };
    change({ ...chosen, ...mostTelling(data.samples[chosen.sample]), chosen: false });
  });
  const views = Object.keys(VIEWS);
  byId("views").append(...views.map((view, place) => {
    const tab = make("button", "", VIEWS[view].title);
    Object.assign(tab, { type: "button", id: `tab-${view}` });
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", "panel");
    tab.addEventListener("click", () => change({ view }));
    tab.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: views.length - 1, ArrowRight: 1 }[event.key];
      if (!by) return;
      change({ view: views[(place + by) % views.length] });
      byId(`tab-${state.view}`).focus();
    });
    return tab;
  }));
  byId("previous").addEventListener("click", () => stepHead(-1));
  byId("next").addEventListener("click", () => stepHead(1));
  byId("zoom-in").addEventListener("click", () => zoom(1.4));
  byId("zoom-out").addEventListener("click", () => zoom(1 / 1.4));
  byId("zoom-fit").addEventListener("click", () => zoom(0));
  byId("theme").addEventListener("click", () => setTheme(isDark() ? "light" : "dark"));
  byId("save-png").addEventListener("click", savePng);
  byId("save-svg").addEventListener("click", saveSvg);
  addEventListener("keydown", shortcuts);
  addEventListener("resize", () => VIEWS[state.view].draw());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(null));
  // Paper is white, whatever the screen is: what is drawn is drawn anew for it.
  let screen = null;
  addEventListener("beforeprint", () => {
    screen = document.documentElement.dataset.theme ?? "";
    setTheme("light");
    thumbs.slice(0, 400).forEach(drawThumb);
  });
  addEventListener("afterprint", () => setTheme(screen));
}

function shortcuts(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(SELECT|INPUT)$/.test(event.target.tagName)) return;
  const does = { "[": () => stepHead(-1), "]": () => stepHead(1) };
  if (state.view === "heat") Object.assign(does, { "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), "0": () => zoom(0) });
  if (!does[event.key]) return;
  event.preventDefault();
  does[event.key]();
}

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else if (theme === "") delete document.documentElement.dataset.theme;
  byId("theme").textContent = isDark() ? "Light" : "Dark";
  redrawThumbs();
  VIEWS[state.view].draw();
  showLegend();
}

showFrame();
listeners.push(redraw);
listen();
state.sample = clamp(recall().sample, data.samples.length);
Object.assign(state, mostTelling());
Object.assign(state, recall());
settle();
Object.assign(state, largest(), recall());
settle();
for (const listener of listeners) listener(new Set(Object.keys(state)));
setTheme(null);
