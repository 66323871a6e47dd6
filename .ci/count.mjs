/** Prints what vitest's JSON reports in a folder come to, as one line: `N passed, N failed, N skipped`. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

const [folder = "."] = process.argv.slice(2);
const counts = { passed: 0, failed: 0, skipped: 0 };
for (const name of readdirSync(folder)) {
  const report = JSON.parse(readFileSync(join(folder, name), "utf8"));
  counts.passed += report.numPassedTests;
  counts.failed += report.numFailedTests;
  counts.skipped += report.numPendingTests + report.numTodoTests;
  // A file that does not even load has no test that could fail.
  counts.failed += report.testResults.filter(
    ({ status, assertionResults }) => status === "failed" && assertionResults.length === 0,
  ).length;
}
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
