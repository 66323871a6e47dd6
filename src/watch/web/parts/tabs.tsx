import type { VNode } from "preact";
import { useRef } from "preact/hooks";
import "./tabs.css";

interface TabsProps<Tab extends string> {
  /** The panel has the id `<id>-panel`. */
  readonly id: string;
  readonly label: string;
  readonly tabs: readonly Tab[];
  readonly titleOf?: (tab: Tab) => string;
  /** Why a tab cannot be selected; `undefined` if it can. */
  readonly whyNot?: (tab: Tab) => string | undefined;
  readonly selected: Tab;
  readonly onSelect: (tab: Tab) => void;
}

/** Tabs, which the arrow keys move through. They leave out the tabs that cannot be selected. */
export function Tabs<Tab extends string>({
  id,
  label,
  tabs,
  titleOf,
  whyNot,
  selected,
  onSelect,
}: TabsProps<Tab>): VNode {
  const list = useRef<HTMLDivElement>(null);
  const onKeyDown = (event: KeyboardEvent): void => {
    const open = tabs.filter((tab) => tab === selected || whyNot?.(tab) === undefined);
    const at = open.indexOf(selected);
    const steps: Readonly<Record<string, number>> = {
      ArrowRight: at + 1,
      ArrowLeft: at - 1,
      Home: 0,
      End: open.length - 1,
    };
    const to = steps[event.key];
    const tab = to === undefined ? undefined : open[(to + open.length) % open.length];
    if (tab === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    onSelect(tab);
    list.current?.querySelector<HTMLElement>(`#${id}-tab-${tab}`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label={label} ref={list} onKeyDown={onKeyDown}>
      {tabs.map((tab) => (
        <button
          key={tab}
          type="button"
          role="tab"
          id={`${id}-tab-${tab}`}
          aria-controls={`${id}-panel`}
          aria-selected={tab === selected}
          aria-disabled={whyNot?.(tab) !== undefined}
          title={whyNot?.(tab)}
          tabIndex={tab === selected ? 0 : -1}
          onClick={() => {
            if (whyNot?.(tab) === undefined) onSelect(tab);
          }}
        >
          {titleOf === undefined ? tab : titleOf(tab)}
        </button>
      ))}
    </div>
  );
}
