/**
 * Puts the directory of the Python interpreter first in the path, before the tests begin. Where `python3` is a script of a
 * version manager (pyenv), the script takes several times as long to start as the interpreter, and the tests start hundreds.
 */

import { execFileSync } from "node:child_process";
import { delimiter, dirname } from "node:path";

export default function useInterpreterItself(): void {
  let interpreter;
  try {
    interpreter = execFileSync("python3", ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" });
  } catch {
    return; // The tests that need Python tell that it is missing.
  }
  process.env.PATH = `${dirname(interpreter.trim())}${delimiter}${process.env.PATH ?? ""}`;
}
