// A drawing as a list of marks, put on a canvas or written as SVG: what is saved is what is seen.
//   { box: [x, y, wide, tall], fill }    { image, at: [x, y, wide, tall] }    { line: [[x, y], …], stroke, wide, dash }
//   { text, at: [x, y], size, fill, anchor, turned, bold }                    fill and stroke are colours, ink if not told

const SVG = "http://www.w3.org/2000/svg"; // a name, never asked for

/** The sheet of a view: its own where it has one, else the selected head as a picture. */
function sheet() {
  return (VIEWS[state.view].sheet ?? headSheet)();
}

function paintMarks(context, marks) {
  const [plain, font] = [ink("ink"), ink("font")];
  for (const { box, image, at, line, text, fill, stroke, wide = 1, dash = [], size = 12, anchor = "start", turned = 0, bold } of marks) {
    context.save();
    context.fillStyle = fill ?? plain;
    if (box) context.fillRect(...box);
    else if (image) {
      context.imageSmoothingEnabled = false;
      context.drawImage(image, ...at);
    } else if (line) {
      Object.assign(context, { strokeStyle: stroke ?? plain, lineWidth: wide });
      context.setLineDash(dash);
      context.beginPath();
      line.forEach(([x, y]) => context.lineTo(x, y));
      context.stroke();
    } else {
      Object.assign(context, { font: `${bold ? "600 " : ""}${size}px ${font}`, textAlign: anchor });
      context.translate(...at);
      context.rotate((turned * Math.PI) / 180);
      context.fillText(text, 0, 0);
    }
    context.restore();
  }
}

/** Text as XML has it. Labels hold no control characters any more. */
function xml(text) {
  return text.replace(/[<>&"]/g, (found) => `&#${found.charCodeAt(0)};`);
}

const ANCHORS = { start: "start", center: "middle", end: "end" };

function markSvg({ box, image, at, line, text, fill, stroke, wide = 1, dash, size = 12, anchor = "start", turned = 0, bold }) {
  const paint = fill ? ` fill="${fill}"` : "", edges = ([x, y, w, h]) => `x="${x}" y="${y}" width="${w}" height="${h}"`;
  if (box) return `<rect ${edges(box)}${paint}/>`;
  if (image) return `<image ${edges(at)} preserveAspectRatio="none" style="image-rendering:pixelated" href="${image.toDataURL()}"/>`;
  if (line) {
    const points = line.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
    return `<polyline points="${points}" fill="none" stroke="${stroke ?? ink("ink")}" stroke-width="${wide}"${dash ? ` stroke-dasharray="${dash}"` : ""}/>`;
  }
  return `<text transform="translate(${at[0].toFixed(1)} ${at[1].toFixed(1)}) rotate(${turned})" text-anchor="${ANCHORS[anchor]}"`
    + ` font-size="${size}"${bold ? ' font-weight="600"' : ""}${paint}>${xml(text)}</text>`;
}

function saveSvg() {
  const { wide, tall, marks, title } = sheet();
  const text = [
    `<svg xmlns="${SVG}" width="${wide}" height="${tall}" font-family="${xml(ink("font"))}" fill="${ink("ink")}">`,
    `<title>${xml(title)}</title><rect width="100%" height="100%" fill="${ink("panel")}"/>`, ...marks.map(markSvg), "</svg>",
  ].join("\n");
  save(new Blob([text], { type: "image/svg+xml" }), title, "svg");
}

function savePng() {
  const { wide, tall, marks, title } = sheet(), canvas = make("canvas"), context = canvas.getContext("2d");
  [canvas.width, canvas.height] = [Math.ceil(wide) * 2, Math.ceil(tall) * 2];
  context.scale(2, 2);
  paintMarks(context, [{ box: [0, 0, wide, tall], fill: ink("panel") }, ...marks]);
  canvas.toBlob((blob) => save(blob, title, "png"), "image/png");
}

/** Hand a file to the reader: a download, not a request. */
function save(blob, title, kind) {
  const link = make("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${title.replace(/[^A-Za-z0-9._-]+/g, "-")}.${kind}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Room at the left for the names of heads, at most `share` of all. */
function nameRoom(places, wide, share) {
  return Math.min(18 + 7.6 * Math.max(...places.map(([address]) => address.length + 4)), wide * share);
}

/** An address and a head in so many letters; the head's number always. */
function headName(address, head, most) {
  return `${shortened(address, Math.max(4, most - 4))} · ${head}`;
}

/** Put a sheet on a canvas of the page, sharp on every screen. */
function showSheet(canvas, { wide, tall, marks }) {
  const ratio = devicePixelRatio || 1, context = canvas.getContext("2d");
  [canvas.width, canvas.height] = [Math.round(wide * ratio), Math.round(tall * ratio)];
  [canvas.style.width, canvas.style.height] = [`${wide}px`, `${tall}px`];
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  paintMarks(context, marks);
}
