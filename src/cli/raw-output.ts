import { Option } from "commander";

import { usage } from "./exit.js";
import { outputLive } from "./terminal.js";

/** `--raw`, of commands that print payloads. */
export function rawOption(meaning: string): Option {
  return new Option("--raw", `${meaning}, such as for > picture.jpg`).conflicts(["json", "full"]);
}

/**
 * Refuses to write bytes to a terminal, which could execute them.
 *
 * @param option that asks for the bytes.
 * @param file such as `picture.jpg`.
 * @throws `Failure`.
 */
export function checkRawOutput(option = "--raw", file = "picture.jpg"): void {
  if (outputLive)
    throw usage(
      `${option} writes bytes that a terminal could execute: send them to a file or a program, such as > ${file}`,
    );
}
