/** The value of an option that is a whole number. @throws `Error` that names the option and the range. */
export function wholeNumber(
  name: string,
  text: string | undefined,
  otherwise: number,
  min: number,
  max: number,
): number {
  const value = text === undefined ? otherwise : Number(text);
  if (text !== "" && Number.isInteger(value) && value >= min && value <= max) return value;
  throw new Error(`--${name} is a whole number from ${min} to ${max}, not ${text ?? ""}`);
}
