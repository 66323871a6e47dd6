/**
 * Calls `act`, then `done`. If one of them fails, calls `failed` with the error. Waits only if `act` returns a promise, so that
 * a driver that is done at once does not cost a turn.
 *
 * @returns a promise if something waits; what `failed` throws or rejects with is the error of the call.
 */
export function inTurn(
  act: () => Promise<void> | undefined,
  done: () => void,
  failed: (error: unknown) => Promise<void> | undefined,
): Promise<void> | undefined {
  let later: Promise<void> | undefined;
  try {
    later = act();
    if (!later) done();
  } catch (error) {
    return failed(error);
  }
  return later?.then(done).catch(failed);
}
