/**
 * A page that shows what sockets send and receive. `protocol.ts` says what its server and the page send each other.
 */

export type { Source } from "./protocol.js";
