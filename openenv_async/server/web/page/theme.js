// Light or dark: the system's setting, until the user chooses.

const KEY = "openenv theme";

function stored(value) {
  try {
    if (value !== undefined) localStorage.setItem(KEY, value);
    return localStorage.getItem(KEY);
  } catch {
    return null; // in a frame without storage
  }
}

/** Make a button change it; `changed()` is called for each change. */
export function theme(button, changed) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const show = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", isDark() ? "Change to light colors" : "Change to dark colors");
    changed();
  };
  const known = stored();
  if (known === "dark" || known === "light") document.documentElement.dataset.theme = known;
  button.onclick = () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    stored(document.documentElement.dataset.theme);
    show();
  };
  system.addEventListener("change", show);
  show();
}
