import { outOfRange } from "../core/errors.js";

/**
 * Refuses fields that nobody reads: they are mistypings.
 *
 * @param what begins the error, such as `"link camera–desk: a field"`.
 * @throws `RangeError` that names the field and those that there are.
 */
export function refuseUnknown(fields: object, known: readonly string[], what: string): void {
  for (const field of Object.keys(fields)) {
    if (!known.includes(field)) throw outOfRange(what, `one of ${known.join(", ")}`, field);
  }
}
