/** Elements made without markup: whatever a model writes is shown as text and nothing else. */

const PROPERTIES = new Set(["value", "checked", "disabled", "selected", "hidden", "open", "htmlFor", "tabIndex"]);
const SHAPES = {
  run: "M5 3.5v9l8-4.5z",
  stop: "M4 4h8v8H4z",
  copy: "M6 2.5h7.5V10M2.5 6H10v7.5H2.5z",
  link: "M7 9a2.5 2.5 0 0 0 3.6 0l2.2-2.2a2.5 2.5 0 0 0-3.6-3.6L8.5 4M9 7a2.5 2.5 0 0 0-3.6 0L3.2 9.2a2.5 2.5 0 0 0 3.6 3.6l.7-.8",
  sun: "M8 1v2M8 13v2M1 8h2M13 8h2M3 3l1.4 1.4M11.6 11.6 13 13M13 3l-1.4 1.4M4.4 11.6 3 13M8 5a3 3 0 1 1 0 6 3 3 0 0 1 0-6z",
  moon: "M13.5 9.6A6 6 0 0 1 6.4 2.5a6 6 0 1 0 7.1 7.1z",
  check: "m3 8.5 3.5 3.5L13 4.5",
  plus: "M8 3v10M3 8h10",
  cross: "m4 4 8 8M12 4l-8 8",
};

/**
 * `element("button", { class: "quiet", onclick: copy }, "Copy")`.
 * @param {string} tag
 * @param {Object<string, any>} properties attributes; those that begin with `on` are listeners; null ones are left out
 * @param {...(Node|string|null|Array)} children
 * @returns {HTMLElement}
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || (value === false && !PROPERTIES.has(name))) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (PROPERTIES.has(name)) made[name] = value;
    else made.setAttribute(name === "class" ? "class" : name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

/** A small picture that says nothing by itself to a screen reader. */
export function icon(name) {
  const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  picture.setAttribute("viewBox", "0 0 16 16");
  picture.setAttribute("class", `icon icon-${name}`);
  picture.setAttribute("aria-hidden", "true");
  path.setAttribute("d", SHAPES[name]);
  picture.append(path);
  return picture;
}

let made = 0;

/** An id that no other element of the page has. */
export function freshId(stem) {
  made += 1;
  return `${stem}-${made}`;
}

/** Says something to those who hear the page. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}

/** A button that copies what `text()` gives, and says so. */
export function copyButton(label, text, shape = "copy") {
  const caption = element("span", {}, label);
  const button = element("button", { type: "button", class: "quiet" }, icon(shape), caption);
  button.addEventListener("click", async () => {
    const copied = await copyText(text());
    caption.textContent = copied ? "Copied" : "Not allowed";
    announce(copied ? `${label}: copied` : "The browser did not allow copying");
    setTimeout(() => (caption.textContent = label), 1600);
  });
  return button;
}

/** The clipboard needs a secure origin; on plain HTTP a selection does the same. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = element("textarea", { class: "unseen", value: text, "aria-hidden": "true" });
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    return copied;
  }
}

/** `later(250, run)` gives a function that calls `run` once its callers have been quiet for so many milliseconds. */
export function later(delay, run) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...values), delay);
  };
}
