/**
 * Replaces the value of a property.
 *
 * @returns a function that restores the original property exactly.
 */
export function replace<T extends object>(target: T, name: keyof T, value: unknown): () => void {
  const before = Object.getOwnPropertyDescriptor(target, name);
  const enumerable = before?.enumerable ?? true;
  Object.defineProperty(target, name, { value, configurable: true, enumerable, writable: true });
  return () => {
    if (before === undefined) Reflect.deleteProperty(target, name);
    else Object.defineProperty(target, name, before);
  };
}
