// The selected head as a picture: the whole map with its tokens and its scale.

const PICTURE = 1200;
const EDGE = 24;

/** The map at most PICTURE pixels wide. */
function headSheet() {
  const map = plane(attention(), state.head), cell = Math.max(PICTURE / 2048, Math.min(28, PICTURE / Math.max(map.keys, map.queries)));
  const [width, height, left, top] = [map.keys * cell, map.queries * cell, 150, 190];
  const columns = Math.min(map.keys, Math.ceil(width)), rows = Math.min(map.queries, Math.ceil(height));
  const small = shrink(map, 0, 0, map.keys, map.queries, columns, rows, state.far);
  const scaleOf = (y) => largestOf(map, Math.min(map.queries - 1, Math.floor((y / rows) * map.queries)));
  const title = [data.about.run ?? "attncli", attention().address, `head ${state.head}`, methodOf(attention())].filter(Boolean).join(" · ");
  const every = Math.max(1, Math.ceil(13 / cell)), below = top + height;
  const scale = state.scale === "row" ? "the row’s largest" : figure(whole(map), map);
  const names = (list, mark) => list.map((name, i) => ({ text: shortened(name, 16), ...mark(i) })).filter((_, i) => i % every === 0);
  return {
    title, wide: Math.max(560, width + left + EDGE), tall: below + 70,
    marks: [
      { box: [left, top, width, height], fill: ink("blank") },
      { image: painted(small, columns, rows, palette(map), scaleOf), at: [left, top, width, height] },
      { image: ramp(map), at: [left, below + 28, 256, 14] },
      { text: title, at: [EDGE, 30], size: 16 },
      ...names(rowNames(), (q) => ({ at: [left - 6, top + (q + 0.5) * cell + 4], anchor: "end" })),
      ...names(keyNames(), (k) => ({ at: [left + (k + 0.5) * cell + 4, top - 6], turned: -90 })),
      { text: map.signed ? `−${scale}` : "0", at: [left - 6, below + 40], anchor: "end" },
      { text: scale, at: [left + 262, below + 40] },
    ],
  };
}

function ramp(map) {
  return painted(Float32Array.from({ length: 256 }, (_, i) => (map.signed ? (i - 127.5) / 127.5 : (i + 1) / 256)), 256, 1, palette(map), () => 1);
}
