(() => {
  let kept = null;
  try { kept = sessionStorage.getItem("theme"); } catch { /* storage may be forbidden for files */ }
  const system = matchMedia("(prefers-color-scheme: dark)");
  const show = () => { document.documentElement.dataset.theme = kept ?? (system.matches ? "dark" : "light"); };
  show();
  system.addEventListener("change", show);
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const tell = () => button.setAttribute("aria-pressed", document.documentElement.dataset.theme === "dark");
    tell();
    system.addEventListener("change", tell);
    button.addEventListener("click", () => {
      kept = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
      try { sessionStorage.setItem("theme", kept); } catch { /* the choice then lasts until the page is left */ }
      show();
      tell();
    });
  });
})();
