/** Errors of files and of standard input and output, in words. */

import { Failure, exitCodes } from "./exit.js";

const reasons: ReadonlyMap<string, string> = new Map([
  ["ENOENT", "there is no such file"],
  ["EEXIST", "it exists"],
  ["EISDIR", "it is a folder"],
  ["ENOTDIR", "a part of the path is not a folder"],
  ["EACCES", "permission denied"],
  ["EPERM", "permission denied"],
  ["ENOSPC", "the disk is full"],
  ["EDQUOT", "the quota of the disk is used up"],
  ["EFBIG", "the file is too large"],
  ["EPIPE", "its reader has gone"],
  ["ENXIO", "nothing is connected to it"],
]);

/** An error of the system as `cannot read "/no/such/file": there is no such file`. Other errors are returned unchanged. */
export function asSystemFailure(error: unknown, what: string): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (!(error instanceof Error) || code === undefined || syscall === undefined) return error;
  return new Failure(exitCodes.error, `cannot ${what}: ${reasons.get(code) ?? `the system says ${code}`}`);
}
