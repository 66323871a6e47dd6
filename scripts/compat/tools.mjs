/** The result of a function that takes a callback (error, result). */
export function called(start) {
  return new Promise((resolve, reject) => {
    start((error, ...results) => {
      if (error) reject(error instanceof Error ? error : new Error(String(error)));
      else resolve(results.length > 1 ? results : results[0]);
    });
  });
}

/** Waits for an event, and fails if the emitter has an error first. */
export function event(emitter, name) {
  return new Promise((resolve, reject) => {
    emitter.once(name, (...args) => resolve(args[0]));
    emitter.once("error", reject);
  });
}

/** Does something several times, one after another, and says how often it worked. */
export async function tenTimes(say, what, act) {
  let worked = 0;
  let error;
  for (let index = 0; index < 10; index++) {
    try {
      await act(index);
      worked++;
    } catch (failure) {
      error = failure;
    }
  }
  say(`${worked} of 10 ${what}${error ? `, otherwise: ${String(error.message).split("\n")[0]}` : ""}`);
}

/** A plain receiver on the server, for packages that only send. Returns what arrived. */
export async function receiver(server, port, type = "udp4") {
  const dgram = await server("node:dgram");
  const socket = dgram.createSocket({ type, reuseAddr: true });
  const got = [];
  socket.on("message", (data) => got.push(data));
  await new Promise((resolve) => socket.bind(port, resolve));
  return got;
}
