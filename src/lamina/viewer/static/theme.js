// Runs before the page is drawn, so that a chosen theme never flashes. Without a choice the system's is used.
(() => {
  const NAMES = ["auto", "light", "dark"];
  const root = document.documentElement;

  function stored() {
    try {
      return localStorage.getItem("lamina-theme");
    } catch {
      return null; // storage may be forbidden
    }
  }

  function apply(name) {
    if (name === "auto") delete root.dataset.theme;
    else root.dataset.theme = name;
  }

  function current() {
    return root.dataset.theme ?? "auto";
  }

  const wanted = stored();
  if (NAMES.includes(wanted)) apply(wanted);

  window.laminaTheme = {
    current,
    next() {
      const name = NAMES[(NAMES.indexOf(current()) + 1) % NAMES.length];
      apply(name);
      try {
        localStorage.setItem("lamina-theme", name);
      } catch {
        // the choice then lasts as long as the page
      }
      return name;
    },
  };
})();
