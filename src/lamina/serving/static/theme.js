// Runs before the first paint, so that a page chosen to be dark never flashes white.
(() => {
  try {
    const chosen = localStorage.getItem("lamina-theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // Storage is forbidden here: the system's choice it is.
  }
})();
