import type { Stack } from "../../core/driver.js";

/** The native driver where it is to be had, else why it isn't. */
export type NativeSupport =
  | { readonly stack: Stack; readonly reason?: undefined }
  | { readonly stack?: undefined; readonly reason: string };

/** Looks for the addon, once. */
export function nativeSupport(): NativeSupport {
  return { reason: "not built yet" };
}
