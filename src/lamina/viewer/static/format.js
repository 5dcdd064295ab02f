// Numbers, sizes and types in words.

const WHOLE = new Intl.NumberFormat("en-US");

/** 1234567 as 1,234,567. */
export function count(number) {
  return number === null || number === undefined ? "?" : WHOLE.format(number);
}

/** "1 row", "2 rows". */
export function plural(number, noun) {
  return `${count(number)} ${noun}${Number(number) === 1 ? "" : "s"}`;
}

/** A share of one as percent: short, but never 0 % for something, nor 100 % for less than all. */
export function percent(share) {
  if (!(share > 0)) return "0%";
  if (share >= 1) return "100%";
  if (share < 0.001) return "<0.1%";
  if (share > 0.999) return ">99.9%";
  if (share > 0.99) return `${Math.floor(share * 1000) / 10}%`;
  return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)}%`;
}

/** A number, or a time, in few characters: for the ends of an axis. */
export function short(number) {
  if (typeof number === "string") return number.replace(/[T ]00:00:00$/, "").slice(0, 16); // a time, to the minute
  if (typeof number !== "number") return String(number);
  const size = Math.abs(number);
  if (size >= 1e15 || (size > 0 && size < 1e-3)) return number.toExponential(1);
  if (size >= 1e6)
    return new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 }).format(number);
  return new Intl.NumberFormat("en-US", { maximumSignificantDigits: size >= 1000 ? 6 : 4 }).format(number);
}

/** Bytes in the largest fitting unit. */
export function bytes(number) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let place = 0;
  while (number >= 1000 && place < units.length - 1) {
    number /= 1000;
    place += 1;
  }
  return `${place && number < 100 ? number.toFixed(1) : Math.round(number)} ${units[place]}`;
}

/** Milliseconds as people say them. */
export function spent(milliseconds) {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

/** The element's feature of a list, whichever way it is written; null for anything else. */
export function elementOf(feature) {
  if (Array.isArray(feature)) return feature[0];
  return ["List", "LargeList", "Sequence"].includes(feature?._type) ? feature.feature : null;
}

/** A feature in a few words: string, int64, class (3), list<string>, struct. */
export function typeName(feature) {
  const element = elementOf(feature);
  if (element !== null) return `list<${typeName(element)}>`;
  if (!feature || typeof feature !== "object") return "?";
  if (feature._type === "Value") return feature.dtype === "large_string" ? "string" : feature.dtype;
  if (feature._type === "ClassLabel") return `class (${feature.names?.length ?? "?"})`;
  if (typeof feature._type === "string") return feature._type.toLowerCase();
  return `struct (${Object.keys(feature).length})`;
}

/** What one can do with a column: number, text, class, bool, time, list or other. */
export function kindOf(feature) {
  if (elementOf(feature) !== null) return "list";
  if (feature?._type === "ClassLabel") return "class";
  if (feature?._type !== "Value") return "other";
  const dtype = feature.dtype ?? "";
  if (/^(u?int|float|decimal|double)/.test(dtype)) return "number";
  if (/string/.test(dtype)) return "text";
  if (dtype === "bool") return "bool";
  return /^(timestamp|date|time)/.test(dtype) ? "time" : "other";
}
