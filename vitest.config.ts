import { fileURLToPath } from "node:url";

import { defineConfig } from "vitest/config";

const face = fileURLToPath(new URL("src/index.ts", import.meta.url));
/** For tests that import the sources by the package's name. Only what extends the settings below has them. */
const datagram = {
  extends: true as const,
  resolve: { alias: { datagram: face } },
  oxc: { target: "es2022" },
};

/** The contract is one suite, run over every driver. */
const contract = (driver: "native" | "dgram") => ({
  ...datagram,
  test: {
    name: `contract over ${driver}`,
    include: ["test/contract/**/*.test.ts"],
    env: { DATAGRAM_DRIVER: driver },
  },
});

export default defineConfig({
  test: {
    testTimeout: 20_000,
    expect: { requireAssertions: true },
    projects: [
      contract("native"),
      contract("dgram"),
      { ...datagram, test: { name: "unit", include: ["test/unit/**/*.test.ts"] } },
      {
        extends: true,
        test: {
          name: "programs",
          include: ["test/{process,page,cli,package,netns}/**/*.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
