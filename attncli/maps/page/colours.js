// Colours: maps that stay in order for colour-blind eyes and in grey print, 17 stops each with straight lines between.

const STOPS = {
  viridis: "44015448186a472d7b4240863b528b33638d2c728e26828e21918c1fa08828ae803fbc735ec96284d44baddc30d8e219fde725",
  cividis: "00224e002e6a1a386f32436d434e6c535a6d61656f6f70737d7c788c88789b9476aba072bcae6ccdbb63dec958f0d846fee838",
  // Below 0 and above it, for differences and for weights with a sign: blue and orange, told apart by every eye.
  signed: { light: "0a3d7a2f74b87fb2dfc4dcefebebebfbd5b0f2a35ed26a1c7f3a05", dark: "9fd0ff5b9fe02f6aa51d3f6226262c5e3a1aa05a1ce08a3dffc48a" },
  grey: { light: "f1f1f3141418", dark: "26262cf4f4f6" },
};

const tables = new Map();

/** 256 colours as 0xAABBGGRR, the order of image data. Entry 0 is the smallest weight above 0. */
function table(name) {
  const stops = typeof STOPS[name] === "string" ? STOPS[name] : STOPS[name][isDark() ? "dark" : "light"];
  if (!tables.has(stops)) {
    const count = stops.length / 6 - 1;
    const part = (stop, channel) => parseInt(stops.slice(6 * stop + 2 * channel, 6 * stop + 2 * channel + 2), 16);
    const made = new Uint32Array(256);
    for (let i = 0; i < 256; i++) {
      const at = (i / 255) * count, stop = Math.min(Math.floor(at), count - 1), share = at - stop;
      const mixed = [0, 1, 2].map((c) => Math.round(part(stop, c) * (1 - share) + part(stop + 1, c) * share));
      made[i] = (0xff000000 | (mixed[2] << 16) | (mixed[1] << 8) | mixed[0]) >>> 0;
    }
    tables.set(stops, made);
  }
  return tables.get(stops);
}

/** Colour of a share of the scale for canvas and style, and the ink that can be read on it. */
function colour(name, share) {
  const code = table(name)[Math.max(0, Math.min(255, Math.round(share * 255)))];
  const [r, g, b] = [code & 255, (code >> 8) & 255, (code >> 16) & 255];
  const light = [r, g, b].map((c) => (c / 255) ** 2.2);
  const bright = 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2];
  return { fill: `rgb(${r} ${g} ${b})`, ink: bright > 0.18 ? "#000" : "#fff" };
}

/** Of a share in a map, which may be below 0. */
function colourOf(map, share) {
  return map.signed ? colour("signed", 0.5 + share / 2) : colour(state.colours, Math.abs(share));
}

/** Paint weights (one a pixel) on a canvas of their own; a weight of exactly 0 stays blank. With `name` "signed" the
 *  middle of the colours is 0. */
function painted(weights, columns, rows, name, largestOf) {
  const canvas = document.createElement("canvas");
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d"), image = context.createImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer), colours = table(name);
  for (let y = 0; y < rows; y++) {
    const scale = 255 / (largestOf(y) || 1);
    for (let x = 0; x < columns; x++) {
      const weight = weights[y * columns + x];
      if (weight === 0) continue;
      const code = name === "signed" ? 127.5 + (weight * scale) / 2 : Math.abs(weight) * scale;
      pixels[y * columns + x] = colours[Math.max(0, Math.min(255, Math.round(code)))];
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** A colour of the style sheet, for canvases. */
function ink(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
