/**
 * `node --import datagram/register app.js` runs a program for `node:dgram` over the sockets of this package, without a change.
 * With `DATAGRAM_REPORT=1`, the counts of the datagrams are written to standard error at exit.
 *
 * @module register
 */

import dgram from "../dgram/index.js";
import { stats } from "../index.js";
import { replaceNodeDgram } from "../kernel/dgram/original.js";
import { report } from "./report.js";

replaceNodeDgram(dgram);

if (process.env.DATAGRAM_REPORT === "1") process.on("exit", () => void process.stderr.write(report(stats())));
