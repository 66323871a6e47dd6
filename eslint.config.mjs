import js from "@eslint/js";
import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";

/** Where time and chance come from the stack alone, so that the same code runs in virtual time. */
const timeless = ["core", "wire", "sim", "message", "dgram", "proxy"].map((room) => `src/${room}/**`);
const clock = "time comes from the stack's Clock";
const chance = "chance comes from the stack's random()";

/** Where callers in plain JavaScript come in: what the types promise is checked there once more. */
const boundary = [
  "src/index.ts",
  "src/core/address/address.ts",
  "src/core/socket/arguments.ts",
  "src/core/socket/outgoing-arguments.ts",
  "src/message/path-mtu.ts",
  "src/dgram/*.ts",
];

/** What makes markup of a text. */
const markupProperties = [
  "innerHTML",
  "outerHTML",
  "insertAdjacentHTML",
  "write",
  "createContextualFragment",
  "srcdoc",
];
const markup = "texts of strangers are text nodes, never markup";

/** What scripts take from Node without an import. */
const nodeGlobals = ["Buffer", "URL", "clearInterval", "console", "performance", "process", "setInterval"];

export default defineConfig(
  { ignores: ["build/", "dist/", "prebuilds/"] },
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  js.configs.recommended,
  {
    rules: {
      eqeqeq: "error",
      "object-shorthand": "error",
      // Addresses and names are searched for NUL and other control characters on purpose.
      "no-control-regex": "off",
    },
  },
  {
    files: ["**/*.{ts,tsx}"],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: {
      parserOptions: {
        projectService: { allowDefaultProject: ["vitest.config.ts"] },
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "inline-type-imports" }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "@typescript-eslint/no-import-type-side-effects": "error",
      "@typescript-eslint/no-unnecessary-condition": [
        "error",
        { allowConstantLoopConditions: "only-allowed-literals" },
      ],
      "@typescript-eslint/no-unused-vars": [
        "error",
        { argsIgnorePattern: "^_", varsIgnorePattern: "^_", ignoreRestSiblings: true },
      ],
      // It asks for `!`, which another rule forbids.
      "@typescript-eslint/non-nullable-type-assertion-style": "off",
      "@typescript-eslint/prefer-promise-reject-errors": ["error", { allowThrowingUnknown: true }],
      "@typescript-eslint/restrict-template-expressions": [
        "error",
        { allowNumber: true, allow: ["Address", "Error", "URL"] },
      ],
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: true },
      ],
    },
  },
  {
    files: boundary,
    rules: { "@typescript-eslint/no-unnecessary-condition": "off" },
  },
  {
    files: ["src/**"],
    ignores: ["src/cli/**"],
    rules: { "no-console": "error" },
  },
  {
    files: timeless,
    rules: {
      "no-restricted-globals": [
        "error",
        { name: "performance", message: clock },
        { name: "setImmediate", message: clock },
        { name: "setInterval", message: clock },
        { name: "setTimeout", message: clock },
        { name: "crypto", message: chance },
        { name: "process", message: "only src/kernel and src/cli know the process" },
      ],
      "no-restricted-properties": [
        "error",
        { object: "Date", property: "now", message: clock },
        { object: "Math", property: "random", message: chance },
      ],
    },
  },
  {
    // Payloads are never markup, and the Content-Security-Policy allows no style attributes.
    files: ["src/watch/web/**"],
    rules: {
      "no-restricted-properties": [
        "error",
        ...markupProperties.map((property) => ({ property, message: markup })),
      ],
      "no-restricted-syntax": [
        "error",
        { selector: "JSXAttribute[name.name='dangerouslySetInnerHTML']", message: markup },
      ],
    },
  },
  {
    files: ["test/**"],
    rules: {
      "@typescript-eslint/no-non-null-assertion": "off",
      // What a callback has changed, the compiler does not see.
      "@typescript-eslint/no-unnecessary-condition": "off",
      // `test("…", async ({ socket }) => …)` takes the fixtures' methods apart, and a body may be async for its errors alone.
      "@typescript-eslint/require-await": "off",
      "@typescript-eslint/unbound-method": "off",
      // Where an error is expected, its type is what the next line checks.
      "@typescript-eslint/use-unknown-in-catch-callback-variable": "off",
    },
  },
  {
    files: ["**/*.{js,mjs}"],
    languageOptions: {
      globals: Object.fromEntries(nodeGlobals.map((name) => [name, "readonly"])),
    },
  },
);
