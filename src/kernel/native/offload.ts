import { AF_INET } from "../../core/constants.js";
import { type Capability, available, unavailable } from "../../core/capabilities.js";
import { codeOf } from "../../core/errno.js";
import { OSError } from "../../core/errors.js";
import type { Addon } from "./addon.js";
import { int32 } from "./bytes.js";

/** udp(7), linux/udp.h. */
export const SOL_UDP = 17;
const UDP_SEGMENT = 103;
/** The socket option by which runs arrive merged: an int, 0 or 1. */
export const UDP_GRO = 104;

/** The environment variables that switch it off, one for each direction. */
const variables = { segmentation: "DATAGRAM_GSO", coalescing: "DATAGRAM_GRO" } as const;

/**
 * What this kernel and the environment allow of segmentation offload.
 *
 * @throws `OSError` `EINVAL` where a variable is neither `on` nor `off`.
 */
export function offloads(addon: Addon): { segmentation: Capability; coalescing: Capability } {
  const probe = addon.open(AF_INET, () => undefined);
  const answerOf = (option: number): number =>
    typeof probe === "number" ? 0 : probe.setOption(SOL_UDP, option, int32(0));
  const answers = { segmentation: answerOf(UDP_SEGMENT), coalescing: answerOf(UDP_GRO) };
  if (typeof probe !== "number") probe.close();
  return {
    segmentation: judge("segmentation", answers.segmentation),
    coalescing: judge("coalescing", answers.coalescing),
  };
}

function judge(feature: keyof typeof variables, answer: number): Capability {
  const variable = variables[feature];
  const setting = process.env[variable] ?? "on";
  if (setting === "off") return unavailable(`${variable}=off switches it off`);
  if (setting !== "on" && setting !== "") {
    const text = `${variable} must be on or off, not ${JSON.stringify(setting)}`;
    throw new OSError("EINVAL", { syscall: "socket", text });
  }
  return answer < 0 ? unavailable(`this kernel has no such option: ${codeOf(-answer)}`) : available;
}
