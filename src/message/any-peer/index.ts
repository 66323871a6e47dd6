/**
 * Requests and answers of one datagram each, for peers that know nothing of this package: their bytes are the program's own.
 * `request.ts` asks one peer, `collect.ts` asks a group or a network, and `serve.ts` answers. `call.ts` is what
 * the first two share. `answers.ts` has the requests of a socket that wait for answers.
 */

export { type CollectOptions, collect } from "./collect.js";
export { type RequestOptions, request } from "./request.js";
export { type Handler, type ServeOptions, type ServeStats, type Service, serve } from "./serve.js";
