/** `datagram completion`: scripts with which a shell completes the command, from the definitions of its options. */

import type { Command, Option } from "commander";

import { print } from "./terminal.js";

const shells = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;

const help = `
The script completes commands, options, and values such as files, interfaces and
profiles. It starts no program, except ls for the names of the interfaces.

  bash  echo 'source <(datagram completion bash)' >> ~/.bashrc
  zsh   echo 'source <(datagram completion zsh)' >> ~/.zshrc, after compinit
  fish  datagram completion fish > ~/.config/fish/completions/datagram.fish

Examples:
  datagram completion bash
  datagram completion zsh > ~/.zsh/completions/_datagram`;

/** Adds `datagram completion`. */
export function addCompletion(program: Command): void {
  program
    .command("completion")
    .summary("print the completion script of a shell")
    .description("Prints a script with which a shell completes commands and options at the Tab key.")
    .addArgument(program.createArgument("<shell>", "the shell").choices(Object.keys(shells)))
    .addHelpText("after", help)
    .action((shell: keyof typeof shells) => print(shells[shell](program)));
}

/** What a shell completes after an option, or as an argument of a command. */
type Value =
  | { readonly kind: "none" }
  | { readonly kind: "text" | "file" | "interface" }
  | { readonly kind: "choice"; readonly choices: readonly string[] };

interface CompletedOption {
  /** Such as `["-h", "--help"]`. */
  readonly names: readonly string[];
  readonly description: string;
  readonly value: Value;
  readonly valueIsOptional: boolean;
}

interface CompletedCommand {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly CompletedOption[];
  /** What its arguments may be, if that is a list of words. */
  readonly words: readonly string[];
}

const listInterfaces = "ls /sys/class/net 2>/dev/null";

function bashScript(program: Command): string {
  const [root, ...commands] = completedCommands(program);
  const patterns = new Map<string, string[]>();
  for (const { name, options } of commands) {
    for (const { names, value, valueIsOptional } of options) {
      if (value.kind === "none" || valueIsOptional) continue;
      const action = bashValue(value);
      patterns.set(action, [...(patterns.get(action) ?? []), ...names.map((each) => `${name}:${each}`)]);
    }
  }
  const valueCases = [...patterns].map(([action, each]) => `    ${each.join("|")}) ${action} return ;;`);
  const words = [root, ...commands].map((command) => {
    const all = [...(command?.words ?? []), ...(command?.options ?? []).flatMap(({ names }) => names)];
    return `    '${command === root ? "" : command?.name}') words='${all.join(" ")}' ;;`;
  });
  return `# bash completion of datagram, printed by: datagram completion bash
_datagram() {
  local IFS=$' \\t\\n' cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} command='' words=''
  [ "$COMP_CWORD" -gt 1 ] && command=\${COMP_WORDS[1]}
  COMPREPLY=()
  case $command:$prev in
${valueCases.join("\n")}
  esac
  case $command in
${words.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -F _datagram datagram
`;
}

function bashValue(value: Value): string {
  switch (value.kind) {
    case "file":
      return "IFS=$'\\n'; COMPREPLY=($(compgen -f -- \"$cur\")); compopt -o filenames 2>/dev/null;";
    case "interface":
      return `COMPREPLY=($(compgen -W "$(${listInterfaces})" -- "$cur"));`;
    case "choice":
      return `COMPREPLY=($(compgen -W '${value.choices.join(" ")}' -- "$cur"));`;
    default:
      return "";
  }
}

function zshScript(program: Command): string {
  const [root, ...commands] = completedCommands(program);
  const described = commands.map(({ name, summary }) => `    ${zshQuoted(`${name}:${summary}`)}`);
  const cases = commands.map(({ name, options, words }) => {
    const argument = words.length > 0 ? `:argument:(${words.join(" ")})` : ":argument: ";
    const specs = [...options.flatMap(zshSpecs), zshQuoted(`*${argument}`)];
    return `    ${name})\n      _arguments \\\n        ${specs.join(" \\\n        ")}\n      ;;`;
  });
  return `#compdef datagram
# zsh completion of datagram, printed by: datagram completion zsh
_datagram() {
  local -a commands
  commands=(
${described.join("\n")}
  )
  if (( CURRENT == 2 )); then
    _describe -t commands command commands
    _arguments ${(root?.options ?? []).flatMap(zshSpecs).join(" ")}
    return
  fi
  shift words
  (( CURRENT-- ))
  case $words[1] in
${cases.join("\n")}
  esac
}
if [ "$funcstack[1]" = _datagram ]; then
  _datagram "$@"
else
  compdef _datagram datagram
fi
`;
}

function zshSpecs({ names, description, value, valueIsOptional }: CompletedOption): string[] {
  const text = description.replaceAll(/[[\]:\\]/g, (character) => `\\${character}`);
  const action = { none: "", text: " ", file: "_files", interface: `($(${listInterfaces}))`, choice: "" }[
    value.kind
  ];
  const values = value.kind === "choice" ? `(${value.choices.join(" ")})` : action;
  const after = value.kind === "none" ? "" : `${valueIsOptional ? "::" : ":"}value:${values}`;
  return names.map((name) => zshQuoted(`${value.kind === "none" ? name : `*${name}=`}[${text}]${after}`));
}

function zshQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function fishScript(program: Command): string {
  const [root, ...commands] = completedCommands(program);
  const lines = commands.flatMap(({ name, summary, options, words }) => {
    const when = `-n '__fish_seen_subcommand_from ${name}'`;
    return [
      `complete -c datagram -n __fish_use_subcommand -a ${name} -d ${fishQuoted(summary)}`,
      ...words.map((word) => `complete -c datagram ${when} -a ${word}`),
      ...options.map((option) => `complete -c datagram ${when} ${fishOption(option)}`),
    ];
  });
  const options = (root?.options ?? []).map(
    (option) => `complete -c datagram -n __fish_use_subcommand ${fishOption(option)}`,
  );
  return [
    "# fish completion of datagram, printed by: datagram completion fish",
    "complete -c datagram -f",
    ...lines,
    ...options,
    "",
  ].join("\n");
}

function fishOption({ names, description, value, valueIsOptional }: CompletedOption): string {
  const flags = names.map((name) => (name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`));
  const values = {
    none: "",
    text: " -x",
    file: " -r -F",
    interface: ` -x -a '(${listInterfaces})'`,
    choice: value.kind === "choice" ? ` -x -a '${value.choices.join(" ")}'` : "",
  };
  return `${flags.join(" ")}${valueIsOptional ? "" : values[value.kind]} -d ${fishQuoted(description)}`;
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll(/['\\]/g, (character) => `\\${character}`)}'`;
}

/** The program itself, whose words are its commands, and each command. */
function completedCommands(program: Command): CompletedCommand[] {
  const { commands } = program;
  const names = commands.map((command) => command.name());
  const help: CompletedCommand = {
    name: "help",
    summary: "show the help of a command",
    options: [],
    words: names,
  };
  return [
    { name: "", summary: "", options: optionsOf(program), words: [...names, "help"] },
    ...commands.map((command) => ({
      name: command.name(),
      summary: command.summary(),
      options: optionsOf(command),
      words: command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []),
    })),
    help,
  ];
}

/** The options of a command, with those that its help leaves out. */
function optionsOf(command: Command): CompletedOption[] {
  const all = new Set([...command.options, ...command.createHelp().visibleOptions(command)]);
  return [...all].map((option) => ({
    names: [option.short, option.long].filter((name) => name !== undefined),
    description: option.description,
    value: valueOf(option),
    valueIsOptional: option.optional,
  }));
}

function valueOf({ flags, argChoices, required, optional }: Option): Value {
  if (argChoices) return { kind: "choice", choices: argChoices };
  if (!required && !optional) return { kind: "none" };
  if (flags.endsWith("<path>")) return { kind: "file" };
  return { kind: flags.startsWith("--interface ") ? "interface" : "text" };
}
