import { describe, expect, test } from "vitest";

import { commandsInOneProcess } from "./one-process.js";
import { Program, file } from "./program.js";

const run = commandsInOneProcess();

/** Command lines whose last word is completed, and the completions. */
const completed: readonly (readonly [readonly string[], readonly string[]])[] = [
  [["li"], ["listen"]],
  [["co"], ["completion"]],
  [["--v"], ["--version"]],
  [
    ["listen", "--j"],
    ["--json", "--join"],
  ],
  [
    ["proxy", "0", "127.0.0.1:9", "--up-loss-"],
    ["--up-loss-burst", "--up-loss-burst-most"],
  ],
  [
    ["proxy", "--profile", "l"],
    ["lan", "lte"],
  ],
  [
    ["proxy", "--answers", ""],
    ["first", "all"],
  ],
  [
    ["completion", ""],
    ["bash", "zsh", "fish", "-h", "--help"],
  ],
  [
    ["help", "se"],
    ["send", "serve"],
  ],
  [["receive", "--codec", "r"], ["rtp-jpeg"]],
  [
    ["run", "--driver", ""],
    ["native", "dgram"],
  ],
  [["listen", "--count", ""], []],
  [["send", "--file", "package.j"], ["package.json"]],
];

describe("completion", () => {
  test("bash completes commands, options and values", async (t) => {
    const { code, stdout, stderr } = await run(["completion", "bash"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const complete = `
complete -p datagram
complete_words() {
  COMP_WORDS=(datagram "$@")
  COMP_CWORD=$#
  _datagram
  echo "\${COMPREPLY[*]}"
}
`;
    const calls = completed.map(([words]) => `complete_words ${words.map((word) => `'${word}'`).join(" ")}`);
    const script = file(t, stdout + complete + calls.join("\n"));
    const bash = await new Program(t, "bash", ["--norc", script]).ended;
    expect(bash).toMatchObject({ code: 0, stderr: "" });
    expect(bash.stdout.split("\n")).toEqual([
      "complete -F _datagram datagram",
      ...completed.map(([, words]) => words.join(" ")),
      "",
    ]);
  });

  test.for(["zsh", "fish"])("the script for %s has no syntax error", async (shell, t) => {
    const { code, stdout } = await run(["completion", shell]);
    expect(code).toBe(0);
    expect(stdout).toContain("profile");
    const checked = new Program(t, "sh", [
      "-c",
      'command -v "$0" >/dev/null || exit 77; "$0" -n "$1"',
      shell,
      file(t, stdout),
    ]);
    const ending = await checked.ended;
    if (ending.code === 77) t.skip(`${shell} is not installed`);
    expect(ending).toMatchObject({ code: 0, stderr: "" });
  });

  test("another shell is refused", async () => {
    const { code, stderr } = await run(["completion", "tcsh"]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^datagram completion: .*'tcsh' is invalid.*bash, zsh, fish/);
  });
});
