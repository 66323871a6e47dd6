import { Option } from "commander";

import { usage } from "./exit.js";
import { outputLive } from "./terminal.js";

/** `--raw`, of commands that print payloads. */
export function rawOption(meaning: string): Option {
  return new Option("--raw", `${meaning}, such as for > picture.jpg`).conflicts(["json", "full"]);
}

/** @throws `Failure` if the bytes would go to a terminal, which could execute them. */
export function checkRawOutput(): void {
  if (outputLive)
    throw usage(
      "--raw writes bytes that a terminal could execute: send them to a file or a program, such as > picture.jpg",
    );
}
