// What is selected as a picture: the whole map with its tokens and its scale, as PNG or SVG, made in the page.

const PICTURE = 1200;
const EDGE = 24;
const SVG = "http://www.w3.org/2000/svg"; // a name, never asked for

/** The map at most PICTURE pixels wide, and how its names are laid. */
function layout() {
  const map = plane(attention(), state.head), cell = Math.max(PICTURE / 2048, Math.min(28, PICTURE / Math.max(map.keys, map.queries)));
  const [width, height] = [Math.max(200, map.keys * cell), map.queries * cell];
  const columns = Math.min(map.keys, Math.ceil(map.keys * cell)), rows = Math.min(map.queries, Math.ceil(map.queries * cell));
  const small = shrink(map, 0, 0, map.keys, map.queries, columns, rows, state.far);
  const scaleOf = (y) => largestOf(map, Math.min(map.queries - 1, Math.floor((y / rows) * map.queries)));
  return {
    map, cell, width: map.keys * cell, height, left: 150, top: 190, every: Math.max(1, Math.ceil(13 / cell)),
    image: painted(small, columns, rows, palette(map), scaleOf), wide: Math.max(560, width + 150 + EDGE), tall: height + 190 + 70,
    title: `${data.about.run ?? "attncli"} · ${attention().address} · head ${state.head}`,
    scale: state.scale === "row" ? "the row’s largest" : figure(whole(map)),
  };
}

function ramp(map) {
  return painted(Float32Array.from({ length: 256 }, (_, i) => (map.signed ? (i - 127.5) / 127.5 : (i + 1) / 256)), 256, 1, palette(map), () => 1);
}

/** Texts of a picture: [text, x, y, turned, anchor]. */
function captions({ map, cell, left, top, height, every, title, scale }) {
  const found = [[title, EDGE, 30, 0, "start"]];
  rowNames().forEach((name, q) => { if (q % every === 0) found.push([shortened(name, 16), left - 6, top + (q + 0.5) * cell + 4, 0, "end"]); });
  keyNames().forEach((name, k) => { if (k % every === 0) found.push([shortened(name, 16), left + (k + 0.5) * cell + 4, top - 6, -90, "start"]); });
  found.push([map.signed ? `−${scale}` : "0", left - 6, top + height + 40, 0, "end"], [scale, left + 262, top + height + 40, 0, "start"]);
  return found;
}

function savePng() {
  const laid = layout(), canvas = make("canvas"), context = canvas.getContext("2d");
  [canvas.width, canvas.height] = [Math.ceil(laid.wide) * 2, Math.ceil(laid.tall) * 2];
  context.scale(2, 2);
  context.fillStyle = ink("panel");
  context.fillRect(0, 0, laid.wide, laid.tall);
  context.fillStyle = ink("blank");
  context.fillRect(laid.left, laid.top, laid.width, laid.height);
  context.imageSmoothingEnabled = false;
  context.drawImage(laid.image, laid.left, laid.top, laid.width, laid.height);
  context.drawImage(ramp(laid.map), laid.left, laid.top + laid.height + 28, 256, 14);
  context.fillStyle = ink("ink");
  for (const [text, x, y, turned, anchor] of captions(laid)) {
    context.save();
    context.font = `${text === laid.title ? 16 : 12}px ${ink("font")}`;
    context.textAlign = anchor;
    context.translate(x, y);
    context.rotate((turned * Math.PI) / 180);
    context.fillText(text, 0, 0);
    context.restore();
  }
  canvas.toBlob((blob) => save(blob, "png"), "image/png");
}

const SVG_SPECIAL = { "<": "&lt;", ">": "&gt;", "&": "&amp;", '"': "&quot;" };

/** Text as XML has it. Labels hold no control characters any more. */
function xml(text) {
  return text.replace(/[<>&"]/g, (found) => SVG_SPECIAL[found]);
}

function svgText() {
  const laid = layout(), texts = captions(laid).map(([text, x, y, turned, anchor]) =>
    `<text transform="translate(${x.toFixed(1)} ${y.toFixed(1)}) rotate(${turned})" text-anchor="${anchor}"`
    + ` font-size="${text === laid.title ? 16 : 12}">${xml(text)}</text>`);
  const picture = (canvas, x, y, width, height) =>
    `<image x="${x}" y="${y}" width="${width}" height="${height}" preserveAspectRatio="none" style="image-rendering:pixelated" href="${canvas.toDataURL()}"/>`;
  return [
    `<svg xmlns="${SVG}" width="${laid.wide}" height="${laid.tall}" font-family="${xml(ink("font"))}" fill="${ink("ink")}">`,
    `<title>${xml(laid.title)}</title><rect width="100%" height="100%" fill="${ink("panel")}"/>`,
    `<rect x="${laid.left}" y="${laid.top}" width="${laid.width}" height="${laid.height}" fill="${ink("blank")}"/>`,
    picture(laid.image, laid.left, laid.top, laid.width, laid.height),
    picture(ramp(laid.map), laid.left, laid.top + laid.height + 28, 256, 14), ...texts, "</svg>",
  ].join("\n");
}

function saveSvg() {
  save(new Blob([svgText()], { type: "image/svg+xml" }), "svg");
}

/** Hand a file to the reader: a download, not a request. */
function save(blob, kind) {
  const link = make("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${attention().address.replace(/[^A-Za-z0-9._-]+/g, "-")}-head-${state.head}.${kind}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
