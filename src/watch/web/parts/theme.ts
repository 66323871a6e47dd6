/** The light and the dark look: that of the system, or the one that the user chose. */

export type Theme = "system" | "light" | "dark";

const key = "datagram-watch-theme";
const listeners = new Set<() => void>();
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");
systemIsDark.addEventListener("change", () => apply());

export function chosenTheme(): Theme {
  const stored = localStorage.getItem(key);
  return stored === "light" || stored === "dark" ? stored : "system";
}

export function chooseTheme(theme: Theme): void {
  localStorage.setItem(key, theme);
  apply();
}

/** The theme after this one, for a button that goes through all of them. */
export function nextTheme(theme: Theme): Theme {
  if (theme === "system") return systemIsDark.matches ? "light" : "dark";
  const other = theme === "light" ? "dark" : "light";
  const system = systemIsDark.matches ? "dark" : "light";
  return other === system ? "system" : other;
}

export function apply(): void {
  const theme = chosenTheme();
  const isDark = theme === "system" ? systemIsDark.matches : theme === "dark";
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
  for (const listener of listeners) listener();
}

/** Calls `listener` after the colors have changed, for what is drawn on a canvas. Returns a function that ends this. */
export function onTheme(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The value of a color of theme.css, such as `--accent`. */
export function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
