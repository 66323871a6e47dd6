/** The exit codes of the command. Scripts rely on them, and `datagram --help` lists them. */
export const exitCodes = { done: 0, error: 1, usage: 2, noAnswer: 3, refused: 4 } as const;

/** An error that ends the command with one line and an exit code. */
export class Failure extends Error {
  readonly exitCode: number;

  constructor(exitCode: number, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** An error in the arguments. */
export function usage(message: string): Failure {
  return new Failure(exitCodes.usage, message);
}
