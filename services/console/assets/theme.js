// Sets the theme before the page is drawn, and again when the visitor or the system changes it.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try { return localStorage.getItem("regulars-theme"); } catch { return null; }
  };
  const apply = () => {
    const dark = chosen() ? chosen() === "dark" : system.matches;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
  };
  apply();
  system.addEventListener("change", apply);
  addEventListener("storage", apply);
  addEventListener("click", (event) => {
    if (!event.target.closest?.("[data-theme-switch]")) return;
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("regulars-theme", next); } catch { /* for this page only */ }
    document.documentElement.dataset.theme = next;
  });
})();
