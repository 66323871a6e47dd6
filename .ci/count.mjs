/**
 * Prints a summary of vitest's JSON reports in a folder: the name of each test that failed, and as the last line
 * `N passed, N failed, N skipped`.
 */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

const [folder = "."] = process.argv.slice(2);
const counts = { passed: 0, failed: 0, skipped: 0 };
for (const name of readdirSync(folder)) {
  const report = JSON.parse(readFileSync(join(folder, name), "utf8"));
  counts.passed += report.numPassedTests;
  counts.failed += report.numFailedTests;
  counts.skipped += report.numPendingTests + report.numTodoTests;
  for (const { name: file, status, message, assertionResults } of report.testResults) {
    for (const { status, fullName, failureMessages } of assertionResults) {
      if (status === "failed") tellFailed(`${name}: ${file}: ${fullName}`, failureMessages.join("\n"));
    }
    // A file that does not load has no test that could fail.
    if (status !== "failed" || assertionResults.length > 0) continue;
    counts.failed++;
    tellFailed(`${name}: ${file}`, message);
  }
}
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);

/** @param why is cut to its first lines. The whole text is in the output of the tests. */
function tellFailed(test, why) {
  console.log(`failed: ${test}\n${why.split("\n").slice(0, 12).join("\n")}\n`);
}
