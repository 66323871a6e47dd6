/** Commands on a terminal, and what the terminal then shows. */

import type { TestContext } from "vitest";

import { Program, bin, stayOpen } from "./program.js";

interface TerminalOptions {
  /** A redirection of the shell, such as `> file`: that stream does not go to the terminal. */
  readonly redirect?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** Runs the command on a terminal of 80 columns. `columns=40` on a line of its input sets another width. */
const script = `
import fcntl, os, pty, re, select, struct, sys, termios
def resize(columns): fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
gate = os.pipe()
pid, fd = pty.fork()
if pid == 0:
    os.read(gate[0], 1)
    os.execvp(sys.argv[1], sys.argv[1:])
resize(80)
os.write(gate[1], b"x")
inputs = [fd, 0]
while True:
    try:
        ready = select.select(inputs, [], [])[0]
        if 0 in ready:
            typed = os.read(0, 1000)
            if not typed: inputs.remove(0)
            width = re.match(rb"columns=(\\d+)$", typed)
            if width: resize(int(width[1]))
            else: os.write(fd, typed)
        if fd in ready:
            output = os.read(fd, 65536)
            if not output: break
            os.write(1, output)
    except OSError: break
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))`;

/** Starts the command on a terminal of 80 columns, which mixes both of its outputs. */
export function onScreen(
  test: TestContext,
  args: readonly string[],
  { redirect = "", env = {} }: TerminalOptions = {},
): Program {
  const command = ["sh", "-c", `exec "$@" ${redirect}`, "sh", process.execPath, bin, ...args];
  return new Program(test, "python3", ["-S", "-c", script, ...command], {
    input: stayOpen,
    // Node assumes that the terminal of a CI service has no colours.
    env: { TERM: "xterm", CI: undefined, NO_COLOR: undefined, FORCE_COLOR: undefined, ...env },
  });
}

/** The lines that a terminal shows after an output, without colours. Lines have any length. */
export function screen(output: string): string[] {
  const lines = [""];
  let column = 0;

  for (const [part] of output.matchAll(/\u001b\[[\d;]*[A-Za-z]|[^\u001b]/gu)) {
    const line = lines.at(-1) ?? "";
    if (part === "\n") lines.push("");
    else if (part === "\r") column = 0;
    else if (part === "\u001b[K") lines[lines.length - 1] = line.slice(0, column);
    else if (/^\u001b.*m$/.test(part)) continue;
    else if (part.startsWith("\u001b")) throw new Error(`a sequence that screen() does not know: ${part}`);
    else lines[lines.length - 1] = line.slice(0, column) + part + line.slice(++column);
  }
  return lines;
}
