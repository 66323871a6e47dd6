/** The command `npm run fuzz`. */

import { parseArgs } from "node:util";

import { fuzz, save } from "./fuzz.js";
import { corpusFolder, readCorpus, targets } from "./targets.js";

const names = targets.map(({ name }) => name);
const help = `Usage: npm run fuzz -- [options]

Changes the inputs of test/fuzz/corpus, and runs the decoders on them. An input that fails is saved in the corpus.

  --targets <a,b,…>  some of: ${names.join(", ")} (all)
  --seconds <n>      the time for each target (60)
  --runs <n>         the most inputs for each target (no limit)
  --seed <n>         the seed of the first round (the time)
`;

const { values } = parseArgs({
  options: {
    targets: { type: "string", default: names.join(",") },
    seconds: { type: "string", default: "60" },
    runs: { type: "string", default: "Infinity" },
    seed: { type: "string", default: String(Date.now() % 1_000_000_000) },
    help: { type: "boolean", default: false },
  },
});
const chosen = values.targets.split(",");
const unknown = chosen.find((name) => !names.includes(name));
const extent = { seconds: Number(values.seconds), runs: Number(values.runs) };
const seed = Number(values.seed);
const isWrong = !(extent.seconds > 0 && extent.runs > 0 && Number.isSafeInteger(seed));
if (values.help) {
  process.stdout.write(help);
} else if (unknown !== undefined || isWrong) {
  process.stderr.write(
    `fuzz: ${unknown === undefined ? "a wrong number" : `no target is called ${unknown}`}\n\n${help}`,
  );
  process.exitCode = 2;
} else {
  console.log(`The first seed is ${seed}.`);
  for (const target of targets.filter(({ name }) => chosen.includes(name))) {
    const startMs = performance.now();
    const report = (runs: number, end: string): void => {
      const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
      process.stdout.write(`${target.name}: ${runs} inputs in ${seconds} s${end}`);
    };
    const corpus = [...readCorpus(target.name).values()];
    const { runs, failure } = fuzz(target, corpus, seed, extent, (done) => {
      if (process.stdout.isTTY) report(done, "\r");
    });
    report(runs, failure ? ", FAILED\n" : "\n");
    if (!failure) continue;
    console.log(`${failure.error}\n\nThe input, of the round with seed ${failure.seed}, is in`);
    console.log(save(corpusFolder(target.name), failure));
    process.exitCode = 1;
  }
}
