import type { Command } from 'commander';

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

interface Words {
  /** `links add`; empty for the tool itself. */
  readonly path: string;
  readonly words: readonly string[];
}

/** A script that completes the tool's commands and options, as they are declared. */
export function completionOf(program: Command, shell: Shell): string {
  const all = wordsOf(program, []);
  return shell === 'fish' ? fish(all) : bash(all, shell);
}

function wordsOf(command: Command, path: readonly string[]): Words[] {
  const words = [
    ...command.commands.map((one) => one.name()),
    ...command.options.flatMap(({ long }) => (long === undefined || long === null ? [] : [long])),
    '--help',
  ];
  const own = { path: path.join(' '), words: [...new Set(words)] };
  return [own, ...command.commands.flatMap((one) => wordsOf(one, [...path, one.name()]))];
}

function bash(all: readonly Words[], shell: 'bash' | 'zsh'): string {
  const cases = [...all]
    // The longest matching path counts.
    .sort((a, b) => b.path.length - a.path.length)
    .map(({ path, words }) => `    ${path === '' ? '*' : `"${path} "*`}) words="${words.join(' ')}" ;;`);
  return [
    ...(shell === 'zsh' ? ['#compdef switchyard', 'autoload -U +X bashcompinit && bashcompinit'] : []),
    '_switchyard() {',
    `  local words current="${shellVariable('COMP_WORDS[COMP_CWORD]')}"`,
    `  local before="${shellVariable('COMP_WORDS[*]:1:COMP_CWORD-1')} "`,
    '  case "$before" in',
    ...cases,
    '  esac',
    '  COMPREPLY=($(compgen -W "$words" -- "$current"))',
    '}',
    'complete -o default -F _switchyard switchyard',
    '',
  ].join('\n');
}

function shellVariable(expression: string): string {
  return `$\{${expression}}`;
}

function fish(all: readonly Words[]): string {
  const lines = all.flatMap(({ path, words }) => {
    const seen = path === '' ? [] : path.split(' ');
    const below = words.filter((word) => !word.startsWith('--'));
    const isHere = [
      ...(seen.length === 0
        ? ['__fish_use_subcommand']
        : seen.map((word) => `__fish_seen_subcommand_from ${word}`)),
      ...(seen.length > 0 && below.length > 0 ? [`not __fish_seen_subcommand_from ${below.join(' ')}`] : []),
    ].join('; and ');
    return words.map((word) =>
      word.startsWith('--')
        ? `complete -c switchyard -n '${isHere}' -l ${word.slice(2)}`
        : `complete -c switchyard -f -n '${isHere}' -a ${word}`,
    );
  });
  return `${lines.join('\n')}\n`;
}
