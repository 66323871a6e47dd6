/**
 * Lets `console.log` show chosen fields of the objects of a class, without what is inside (`util.inspect.custom` of Node).
 *
 * @param nameOf returns what stands before the fields.
 * @param shown returns the fields; `undefined` for a proxy, and for an object that inherits from one.
 */
export function showAs<T extends object>(
  prototype: T,
  nameOf: (of: T) => string,
  shown: (of: T) => object | undefined,
): void {
  Object.defineProperty(prototype, Symbol.for("nodejs.util.inspect.custom"), {
    /** @param depth how many more levels are shown: below 0 only the name, and `null` is no limit. */
    value(
      this: T,
      depth: number | null,
      options: { readonly stylize: (text: string, styleType: "special") => string },
      inspect: (value: object, options: object) => string,
    ): string {
      const name = nameOf(this);
      if (depth !== null && depth < 0) return options.stylize(`[${name}]`, "special");
      // `options.depth` is that of the whole call. The fields are at the level of the object, so that no level is taken from `depth`.
      return `${name} ${inspect(shown(this) ?? {}, { ...options, depth })}`;
    },
  });
}

/**
 * As `showAs`, also for `JSON.stringify`: for a class above Node's EventEmitter, whose fields JSON would have otherwise.
 *
 * @param shown returns fields that JSON can have.
 */
export function showEmitterAs<T extends object>(
  prototype: T,
  name: string,
  shown: (of: T) => object | undefined,
): void {
  showAs(prototype, () => name, shown);
  Object.defineProperty(prototype, "toJSON", {
    value(this: T): object {
      return shown(this) ?? {};
    },
    configurable: true,
    writable: true,
  });
}
