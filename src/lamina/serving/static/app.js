/** What every page has: the list of models, their state, the theme and the key. */

import { getKey, listModels, setKey } from "./api.js";
import { announce, element, icon } from "./dom.js";
import { modelView } from "./model.js";
import { modelList, pageOf } from "./models.js";

const AGAIN = 1500; // milliseconds between two looks at a model that is loading
const main = document.getElementById("main");
const path = location.pathname;
let shown = "";

/**
 * The model and task of this page, null on the list, undefined where there is no such page; a server with one model
 * shows it at once.
 */
function modelHere(models) {
  if (path === "/") return models.length === 1 ? withTask(models[0], models[0].task) : null;
  const [id, task] = decodeURIComponent(path.slice("/ui/models/".length)).split("/pipeline/");
  const model = models.find((one) => one.id === id);
  return model && withTask(model, task ?? model.task);
}

/** A model with what belongs to one of its tasks; as long as it loads, its tasks are not known. */
function withTask(model, task) {
  if (model.state !== "ready") return { ...model, task: task ?? model.task ?? "", own: model };
  const page = model.tasks.find((one) => one.task === task);
  return page && { ...model, ...page, own: model };
}

async function refresh() {
  let models;
  try {
    ({ models } = await listModels());
  } catch (error) {
    shown = "";
    main.replaceChildren(element("p", { class: "notice error", role: "alert" }, error.message));
    if (error.status !== 401) setTimeout(refresh, 2 * AGAIN);
    return;
  }
  const here = modelHere(models);
  // Drawn anew only when something changed, so that nobody is interrupted while typing.
  const state = JSON.stringify(here === null ? models.map(({ id, state: one }) => [id, one]) : [here?.id, here?.state]);
  if (state !== shown) {
    shown = state;
    show(models, here);
  }
  if (models.some((model) => model.state === "loading")) setTimeout(refresh, AGAIN);
}

function show(models, here) {
  document.getElementById("switcher").replaceChildren(...switcher(models, here));
  if (here === undefined) {
    document.title = "No such model · Lamina";
    main.replaceChildren(
      element("p", { class: "notice error", role: "alert" }, "This server has no such model. ", element("a", { href: "/" }, "All models")),
    );
    return;
  }
  document.title = here ? `${here.id}, ${here.task} · Lamina` : "Lamina";
  main.replaceChildren(here ? modelView(here) : modelList(models));
}

function switcher(models, here) {
  if (!here || models.length < 2) return [];
  const options = models.map((model) =>
    element("option", { value: pageOf(model), selected: model.id === here.id }, model.id),
  );
  const select = element("select", { id: "model-select", "aria-label": "Model" }, options);
  select.addEventListener("change", () => location.assign(select.value));
  return [select];
}

function setUpTheme() {
  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const draw = () => {
    button.replaceChildren(icon(dark() ? "sun" : "moon"));
    button.setAttribute("aria-label", dark() ? "Use light colors" : "Use dark colors");
  };
  button.addEventListener("click", () => {
    const next = dark() ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem("lamina-theme", next);
    } catch {
      // It lasts as long as the page, then.
    }
    draw();
    window.dispatchEvent(new Event("lamina-theme"));
  });
  system.addEventListener("change", draw);
  draw();
}

function setUpKey() {
  const dialog = document.getElementById("key-dialog");
  const value = document.getElementById("key-value");
  const button = document.getElementById("key");
  const ask = () => {
    button.hidden = false;
    if (dialog.open) return;
    value.value = getKey();
    dialog.showModal();
  };
  const keep = (key) => {
    setKey(key);
    dialog.close();
    announce(key ? "Key kept for this tab" : "Key forgotten");
    refresh();
  };
  button.hidden = !getKey();
  button.addEventListener("click", ask);
  document.getElementById("key-forget").addEventListener("click", () => keep(""));
  document.getElementById("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    keep(value.value.trim());
  });
  window.addEventListener("lamina-unauthorized", ask);
}

setUpTheme();
setUpKey();
refresh();
