import { type Capability, available, unavailable } from "../../core/capabilities.js";
import { int32 } from "../../core/driver/bytes.js";
import { codeOf } from "../../core/errors/errno.js";
import { OSError } from "../../core/errors/errors.js";
import type { Handle } from "./addon.js";

/** udp(7), linux/udp.h. */
export const SOL_UDP = 17;
const UDP_SEGMENT = 103;
/** The socket option that has runs arrive merged: an int, 0 or 1. */
export const UDP_GRO = 104;

/** The environment variables that switch segmentation offload off, one for each direction. */
const variables = { segmentation: "DATAGRAM_GSO", coalescing: "DATAGRAM_GRO" } as const;

/**
 * Whether the kernel and the environment allow segmentation offload, in each direction.
 *
 * @param probe a socket that is used for nothing else.
 * @throws `OSError` `EINVAL` if a variable is neither `on` nor `off`.
 */
export function offloadCapabilities(probe: Handle): { segmentation: Capability; coalescing: Capability } {
  return {
    segmentation: capability("segmentation", probe.setOption(SOL_UDP, UDP_SEGMENT, int32(0))),
    coalescing: capability("coalescing", probe.setOption(SOL_UDP, UDP_GRO, int32(0))),
  };
}

function capability(feature: keyof typeof variables, result: number): Capability {
  const variable = variables[feature];
  const setting = process.env[variable] ?? "on";
  if (setting === "off") return unavailable(`${variable}=off switches it off`);
  if (setting !== "on" && setting !== "") {
    const text = `${variable} must be on or off, not ${JSON.stringify(setting)}`;
    throw new OSError("EINVAL", { syscall: "socket", text });
  }
  return result < 0 ? unavailable(`this kernel has no such option: ${codeOf(-result)}`) : available;
}
