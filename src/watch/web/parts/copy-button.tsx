import type { VNode } from "preact";
import { useRef, useState } from "preact/hooks";

/** Copies a text, and says so. */
export function CopyButton({ text, label }: { readonly text: string; readonly label: string }): VNode {
  const [result, setResult] = useState("");
  const timer = useRef<number | undefined>(undefined);
  const copy = async (): Promise<void> => {
    setResult((await copied(text)) ? "Copied" : "Not copied: select the text instead");
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setResult(""), 2000);
  };
  return (
    <button type="button" class="small" aria-label={`Copy ${label}`} onClick={() => void copy()}>
      <span aria-live="polite">{result === "" ? "Copy" : result}</span>
    </button>
  );
}

/** The clipboard needs HTTPS or a loopback address, so elsewhere a selection is copied. */
async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "off-screen";
    document.body.append(area);
    area.select();
    // oxlint-disable-next-line typescript/no-deprecated -- nothing else copies on a page without HTTPS
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
