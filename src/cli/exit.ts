/** How the command ends. Scripts rely on these numbers: `datagram --help` lists them. */
export const exitCodes = { done: 0, error: 1, usage: 2, noAnswer: 3, refused: 4 } as const;

/** An end of the command that is not `done`, told in one line. */
export class Failure extends Error {
  readonly exitCode: number;

  constructor(exitCode: number, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** What was typed makes no sense. */
export function usage(message: string): Failure {
  return new Failure(exitCodes.usage, message);
}
