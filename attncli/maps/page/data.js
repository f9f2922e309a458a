// The data: everything the page shows. Weights stay encoded until their head is looked at.

const data = JSON.parse(document.getElementById("data").textContent);
data.samples.forEach((sample, i) => sample.attentions.forEach((attention, j) => { attention.id = `${i}/${j}`; }));

const STATISTIC_NAMES = ["information", "entropy", "peak", "diagonal", "distance", "first", "coverage"];
const ROLE_NAMES = [...new Set(data.roles.map((role) => role.name))];
const rolesOf = new Map();
for (const role of data.roles) {
  const place = `${role.address}/${role.head}`;
  if (!rolesOf.has(place)) rolesOf.set(place, []);
  rolesOf.get(place).push(role);
}

/** A statistic of a head, or its score in a role (`role:previous`); null where it has none. */
function statistic(attention, head, name) {
  if (!name.startsWith("role:")) return finite(attention.statistics[name]?.[head]);
  const found = (rolesOf.get(`${attention.address}/${head}`) ?? []).find((role) => role.name === name.slice(5));
  return found ? Number(found.score) : null;
}

/** A number that came as one or as a word; null where there is none. */
function finite(value) {
  return value === undefined || value === null ? null : Number(value);
}

/** A statistic as text. */
function told(value, name) {
  return value === null ? "–" : value.toFixed(STATISTICS[name]?.[2] ?? 2);
}

/** The first role that a head holds for sure, or null. */
function roleOf(attention, head) {
  return (rolesOf.get(`${attention.address}/${head}`) ?? []).find((role) => role.held) ?? null;
}

function shortened(text, most) {
  const points = Array.from(text.slice(0, 2 * most + 2));
  return points.length > most ? points.slice(0, most - 1).join("") + "…" : text;
}

/** A weight as text. */
function figure(weight, map = null) {
  if (weight === undefined) return "not on this page";
  if (map?.method) return String(Number(weight.toPrecision(3)));
  if (weight === 0 || weight === 1) return String(weight);
  return Math.abs(weight) >= 0.0005 ? weight.toFixed(3) : weight < 0 ? "> −0.001" : "< 0.001";
}
