// Loaded before the first paint, so that neither the theme nor the folded sidebar flashes.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const systemTheme = () => (system.matches ? "dark" : "light");

  const remembered = (key) => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null; // storage is blocked: the choice lasts for this page only
    }
  };
  const remember = (key, value) => {
    try {
      if (value === null) localStorage.removeItem(key);
      else localStorage.setItem(key, value);
    } catch {
      // as above
    }
  };
  const show = (theme) => {
    root.setAttribute("data-bs-theme", theme);
    document.dispatchEvent(new CustomEvent("themechange", { detail: theme }));
  };

  // Django's admin keeps its choice under the same key, and writes "auto" there for the system's.
  const chosenTheme = () => {
    const theme = remembered("theme");
    return theme === "dark" || theme === "light" ? theme : null;
  };

  show(chosenTheme() ?? systemTheme());
  if (remembered("rail") === "folded") root.setAttribute("data-rail", "folded");
  system.addEventListener("change", () => chosenTheme() ?? show(systemTheme()));

  window.touchstone = {
    toggleTheme() {
      const theme = root.getAttribute("data-bs-theme") === "dark" ? "light" : "dark";
      remember("theme", theme === systemTheme() ? null : theme); // back at the system's choice: follow it again
      show(theme);
      return theme;
    },
    toggleRail() {
      const folded = root.getAttribute("data-rail") !== "folded";
      if (folded) root.setAttribute("data-rail", "folded");
      else root.removeAttribute("data-rail");
      remember("rail", folded ? "folded" : null);
      return folded;
    },
  };
})();
