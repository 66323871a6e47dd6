/// <reference types="node" preserve="true" />
/**
 * A page that shows what sockets receive and send, live, in a browser.
 *
 * `watch.ts` has the public call. The sources (`sources/`) tell the model (`model/`) what happens, and the server (`server/`) shows the
 * model to pages. `protocol.ts` says what the server and its pages send each other.
 *
 * @module watch
 */

export { type Watch, type WatchOptions, type WatchTarget, watch } from "./watch.js";
