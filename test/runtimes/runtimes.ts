/** Other programs than Node that run JavaScript. `npm run test:runtimes` installs them, and only it runs these tests. */

/** A program, with the arguments before the path of a script. */
export interface Runtime {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
}

/** Bun and Deno; none unless `npm run test:runtimes` runs the tests. */
export const runtimes: readonly Runtime[] = JSON.parse(process.env.DATAGRAM_RUNTIMES ?? "[]") as Runtime[];
