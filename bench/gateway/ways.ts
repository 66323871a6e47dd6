/** The ways to publish that are compared. */
export const ways = ["gateway", "gateway with bundles", "js.publish", "core publish"] as const;
export type Way = (typeof ways)[number];

/** What a way did in the measured time. */
export interface Published {
  readonly messages: number;
  readonly seconds: number;
  readonly cpuUs: number;
}

/** Each way publishes for so long before it is measured. */
export const warmUpSeconds = 1;
