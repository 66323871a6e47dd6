import type { VNode } from "preact";
import { useRef } from "preact/hooks";
import "./tabs.css";

interface TabsProps<Tab extends string> {
  /** The panel has the id `<id>-panel`. */
  readonly id: string;
  readonly label: string;
  readonly tabs: readonly Tab[];
  readonly titleOf?: (tab: Tab) => string;
  readonly selected: Tab;
  readonly onSelect: (tab: Tab) => void;
}

/** Tabs, which the arrow keys move through. */
export function Tabs<Tab extends string>({
  id,
  label,
  tabs,
  titleOf,
  selected,
  onSelect,
}: TabsProps<Tab>): VNode {
  const list = useRef<HTMLDivElement>(null);
  const onKeyDown = (event: KeyboardEvent): void => {
    const at = tabs.indexOf(selected);
    const steps: Readonly<Record<string, number>> = {
      ArrowRight: at + 1,
      ArrowLeft: at - 1,
      Home: 0,
      End: tabs.length - 1,
    };
    const to = steps[event.key];
    const tab = to === undefined ? undefined : tabs[(to + tabs.length) % tabs.length];
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
          tabIndex={tab === selected ? 0 : -1}
          onClick={() => onSelect(tab)}
        >
          {titleOf === undefined ? tab : titleOf(tab)}
        </button>
      ))}
    </div>
  );
}
