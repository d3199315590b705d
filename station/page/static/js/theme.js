/* Light, dark, or as the system has it. Not a module: it runs before the first paint, so that nothing flashes. */
"use strict";

(() => {
  const NAMES = { auto: "Auto", light: "Light", dark: "Dark" };
  const stored = () => {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null; // storage is closed to us: the choice lasts as long as the page
    }
  };
  const set = (theme) => {
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem("theme", theme);
    } catch {
      /* as above */
    }
  };
  document.documentElement.dataset.theme = stored() in NAMES ? stored() : "auto";
  window.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const say = () => {
      const name = NAMES[document.documentElement.dataset.theme];
      button.textContent = name;
      button.setAttribute("aria-label", `Colours: ${name}`);
    };
    button.addEventListener("click", () => {
      const themes = Object.keys(NAMES);
      set(themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % themes.length]);
      say();
      window.dispatchEvent(new Event("themechange"));
    });
    say();
  });
})();
