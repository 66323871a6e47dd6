/** The ways to publish that are compared. */
export const ways = ["gateway", "js.publish", "core publish"] as const;
export type Way = (typeof ways)[number];

/** What a way did in the measured time. */
export interface Published {
  readonly messages: number;
  readonly seconds: number;
  readonly cpuUs: number;
}
