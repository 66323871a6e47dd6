import { fileURLToPath } from "node:url";

import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Short files with the tests that take longest. vitest takes the size of a file for its duration until it has run once. */
const longest: ReadonlySet<string> = new Set(
  [
    ...["sim/scenarios", "sim/gateway", "sim/ratios"],
    ...["process/workers", "process/bench", "process/resources", "process/adopted", "page/simulation"],
  ].map((name) => fileURLToPath(new URL(`${name}.test.ts`, import.meta.url))),
);

/** Starts the longest files of each project first. If one of them started last, the other workers would wait for its end. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return [...new Set(sorted.map(({ project }) => project))].flatMap((project) => {
      const own = sorted.filter((each) => each.project === project);
      const isLong = ({ moduleId }: TestSpecification): boolean => longest.has(moduleId);
      return [...own.filter(isLong), ...own.filter((each) => !isLong(each))];
    });
  }
}
