import { readFileSync } from "node:fs";

import type { Family } from "../core/address/address.js";
import { AF_INET } from "../core/constants.js";
import type { OSError } from "../core/errors/errors.js";
import { type MembershipChange, type MembershipLimits, membershipError } from "../core/driver/membership.js";

/**
 * Returns the maximum number of memberships of one socket. Over IPv6, only memory limits the number of groups.
 *
 * @returns the default of Linux for a limit that cannot be read here.
 */
export function membershipLimits(family: Family): MembershipLimits {
  const groups = setting("ipv4/igmp_max_memberships") ?? 20;
  if (family === AF_INET) return { groups, sources: setting("ipv4/igmp_max_msf") ?? 10 };
  return { groups, sources: setting("ipv6/mld_max_msf") ?? 64 };
}

/** Returns the error of a change that the kernel refused with `code`. */
export function membershipRefused(code: string, change: MembershipChange, cause?: unknown): OSError {
  return membershipError(code, change, membershipLimits(change.group.family), cause);
}

function setting(path: string): number | undefined {
  try {
    return Number(readFileSync(`/proc/sys/net/${path}`, "utf8"));
  } catch {
    // The system is not Linux, or the network namespace does not have this setting.
    return undefined;
  }
}
