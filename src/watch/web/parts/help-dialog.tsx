import type { VNode } from "preact";
import { useEffect, useRef } from "preact/hooks";
import "./help-dialog.css";

/** The keys of the page, as the help shows them. docs/watch.md has the same table. */
const keys: readonly (readonly [key: string, meaning: string])[] = [
  ["1 2 3 4", "Peers, datagrams, send, recordings"],
  ["s", "The next source, or all"],
  ["↓ ↑ or j k", "The next row of a list, the one before"],
  ["Page Down, Page Up, Home, End", "Move in a list"],
  ["Enter", "Open the row"],
  ["Esc", "Close what is open, or leave a field"],
  ["/", "Filter the datagrams"],
  ["p", "Pause the list of datagrams, or go on; in a file, play or pause"],
  ["[ ]", "In a file: 5 seconds back, 5 seconds forward"],
  ["a", "Answer the selected peer"],
  ["Ctrl Enter", "Send"],
  ["r", "Start or end a recording"],
  ["t", "Light, dark, or as the system"],
  ["?", "This help"],
];

/** The keys of the page, in a dialog. */
export function HelpDialog({ onClose }: { readonly onClose: () => void }): VNode {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} aria-labelledby="help-title" onClose={onClose}>
      <div class="card-line">
        <h2 id="help-title">Keys</h2>
        <button
          type="button"
          class="quiet at-end"
          aria-label="Close the help"
          onClick={() => dialog.current?.close()}
        >
          ×
        </button>
      </div>
      <dl class="keys">
        {keys.map(([key, meaning]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
      <p class="muted">
        Tab moves between the parts of the page. In a list, the arrow keys move between its rows. In a field,
        keys are text: Esc leaves it.
      </p>
    </dialog>
  );
}
