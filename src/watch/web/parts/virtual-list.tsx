/** A grid of rows of equal height, of which only those that can be seen are in the document. */

import { Component, type ComponentChildren, type VNode } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import "./virtual-list.css";

/** Rows above and below the visible ones. */
const extraRows = 6;

/** A column: its heading, and whether it is wide enough to be shown. */
export interface Column<Row> {
  readonly id: string;
  readonly title: string;
  /** What the column means. */
  readonly help: string;
  readonly isNumber?: boolean;
  readonly cell: (row: Row) => ComponentChildren;
}

interface ListProps<Row> {
  readonly id: string;
  readonly label: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly rowHeight: number;
  readonly keyOf: (row: Row) => string;
  /** Changes if the row must be drawn again. */
  readonly stampOf: (row: Row) => string;
  readonly classOf?: (row: Row) => string;
  /** The key of the row that the arrow keys have reached. */
  readonly active: string | undefined;
  readonly onActive: (key: string | undefined) => void;
  /** Enter, or a click. */
  readonly onOpen?: (row: Row) => void;
  readonly sort?: { readonly id: string; readonly isDown: boolean };
  readonly onSort?: (id: string) => void;
  /** Whether new rows at the end stay in view while the list is scrolled to its end. */
  readonly follows?: boolean;
  /** Rows that were taken from the beginning so far: the rows that are in view stay there. */
  readonly removed?: number;
  /** Draws above the visible rows, such as a canvas: `first` is the index of the first row that is in the document. */
  readonly overlay?: (rows: readonly Row[], first: number) => ComponentChildren;
}

export function VirtualList<Row>(props: ListProps<Row>): VNode {
  const {
    id,
    label,
    columns,
    rows,
    rowHeight,
    keyOf,
    active,
    onActive,
    follows = false,
    removed = 0,
  } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(true);
  const removedBefore = useRef(removed);
  const [view, setView] = useState({ top: 0, height: 600 });
  const activeIndex = active === undefined ? -1 : rows.findIndex((row) => keyOf(row) === active);

  const look = (): void => {
    const element = scroller.current;
    if (element === null) return;
    const { scrollTop: top, clientHeight: height, scrollHeight } = element;
    isAtEnd.current = top + height >= scrollHeight - rowHeight;
    setView((before) => (before.top === top && before.height === height ? before : { top, height }));
  };
  useEffect(() => {
    const element = scroller.current;
    if (element === null) return;
    const observer = new ResizeObserver(look);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useLayoutEffect(() => {
    const element = scroller.current;
    if (element === null) return;
    if (follows && isAtEnd.current) element.scrollTop = element.scrollHeight;
    else if (removed > removedBefore.current)
      element.scrollTop -= (removed - removedBefore.current) * rowHeight;
    removedBefore.current = removed;
    // The event of this scroll comes only in the next frame. Until then the place of the new rows would be blank.
    look();
  });

  const move = (to: number): void => {
    const index = Math.min(rows.length - 1, Math.max(0, to));
    const row = rows[index];
    const element = scroller.current;
    if (row === undefined || element === null) return;
    onActive(keyOf(row));
    const head = element.firstElementChild?.clientHeight ?? 0;
    const top = index * rowHeight;
    const room = element.clientHeight - head - rowHeight;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top > element.scrollTop + room) element.scrollTop = top - room;
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.target !== scroller.current || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(view.height / rowHeight) - 2);
    const from = activeIndex < 0 ? (follows ? rows.length : -1) : activeIndex;
    const steps: Readonly<Record<string, number>> = {
      ArrowDown: from + 1,
      j: from + 1,
      ArrowUp: from - 1,
      k: from - 1,
      PageDown: from + page,
      PageUp: from - page,
      Home: 0,
      End: rows.length - 1,
    };
    const to = steps[event.key];
    const row = rows[activeIndex];
    if (to !== undefined) move(to);
    else if (event.key === "Enter" && row !== undefined) props.onOpen?.(row);
    else if (event.key === "Escape" && active !== undefined) onActive(undefined);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  const first = Math.max(0, Math.floor(view.top / rowHeight) - extraRows);
  const end = Math.min(rows.length, Math.ceil((view.top + view.height) / rowHeight) + extraRows);
  const shown = rows.slice(first, end);
  const isActiveShown = activeIndex >= first && activeIndex < end;
  return (
    <div
      id={id}
      class="list"
      ref={scroller}
      role="grid"
      aria-label={label}
      aria-rowcount={rows.length + 1}
      aria-colcount={columns.length}
      aria-activedescendant={isActiveShown ? `${id}-row-${activeIndex}` : undefined}
      tabIndex={0}
      onScroll={look}
      onKeyDown={onKeyDown}
    >
      <div class="list-head" role="rowgroup">
        <div class="list-row" role="row" aria-rowindex={1}>
          {columns.map((column) => (
            <Heading key={column.id} column={column} sort={props.sort} onSort={props.onSort} />
          ))}
        </div>
      </div>
      <div class="list-body" role="rowgroup" style={{ height: `${rows.length * rowHeight}px` }}>
        {shown.map((row, offset) => {
          const index = first + offset;
          const isActive = index === activeIndex;
          const draw = (): VNode => (
            <div
              id={`${id}-row-${index}`}
              class={`list-row ${props.classOf?.(row) ?? ""}`}
              role="row"
              aria-rowindex={index + 2}
              aria-selected={isActive}
              style={{ top: `${index * rowHeight}px`, height: `${rowHeight}px` }}
              onClick={() => {
                onActive(keyOf(row));
                props.onOpen?.(row);
              }}
            >
              {columns.map((column) => (
                <div
                  key={column.id}
                  role="gridcell"
                  class={`cell cell-${column.id}${column.isNumber === true ? " number" : ""}`}
                >
                  {column.cell(row)}
                </div>
              ))}
            </div>
          );
          const stamp = `${index}:${isActive}:${columns.length}:${rowHeight}:${props.stampOf(row)}`;
          return <Kept key={keyOf(row)} stamp={stamp} draw={draw} />;
        })}
        {props.overlay?.(shown, first)}
      </div>
    </div>
  );
}

/** Draws again only if its stamp has changed. */
class Kept extends Component<{ readonly stamp: string; readonly draw: () => VNode }> {
  override shouldComponentUpdate(next: { readonly stamp: string }): boolean {
    return next.stamp !== this.props.stamp;
  }

  override render(): VNode {
    return this.props.draw();
  }
}

interface HeadingProps<Row> {
  readonly column: Column<Row>;
  readonly sort: ListProps<Row>["sort"];
  readonly onSort: ListProps<Row>["onSort"];
}

function Heading<Row>({ column, sort, onSort }: HeadingProps<Row>): VNode {
  const { id, title, help, isNumber = false } = column;
  const isSorted = sort?.id === id;
  const order = isSorted ? (sort.isDown ? "descending" : "ascending") : undefined;
  return (
    <div
      role="columnheader"
      class={`cell cell-${id}${isNumber ? " number" : ""}`}
      aria-sort={order}
      title={help}
    >
      {onSort === undefined ? (
        title
      ) : (
        <button type="button" class="sort" onClick={() => onSort(id)}>
          {title}
          <span class="sort-mark" aria-hidden="true">
            {isSorted ? (sort.isDown ? "▾" : "▴") : ""}
          </span>
        </button>
      )}
    </div>
  );
}
