/** `tendril completion SHELL` */
import type { Command } from 'commander';
import type { Shell } from '../shell.ts';

/** All three ask the program itself what may come next, so they never grow old. */
const SCRIPTS = {
  bash: `_tendril() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do COMPREPLY+=("\${line%%$'\\t'*}"); done < <(
    tendril __complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == */ ]] && compopt -o nospace
}
complete -o default -F _tendril tendril
`,
  zsh: `#compdef tendril
_tendril() {
  local -a candidates
  candidates=("\${(@f)$(tendril __complete "\${(@)words[2,CURRENT]}" 2>/dev/null | sed -e 's/:/\\\\:/g' -e 's/\\t/:/')}")
  if [[ -n \${candidates[1]} ]]; then _describe tendril candidates; else _files; fi
}
if [[ $funcstack[1] == _tendril ]]; then _tendril "$@"; else compdef _tendril tendril; fi
`,
  fish: `function __tendril_complete
  set -l words (commandline -opc) (commandline -ct)
  tendril __complete $words[2..-1] 2>/dev/null
end
complete -c tendril -f -n 'test -n "$(__tendril_complete)"' -a '(__tendril_complete)'
`,
} as const;

export function register(program: Command, shell: Shell): void {
  const command = program.command('completion');
  command
    .description(
      'Prints a script that lets your shell complete commands, flags and the names of services, instances, nodes and clusters.',
    )
    .addArgument(command.createArgument('<shell>', 'which').choices(Object.keys(SCRIPTS)))
    .addHelpText(
      'after',
      `
Examples:
  $ source <(tendril completion bash)                                  this session
  $ tendril completion bash > /etc/bash_completion.d/tendril           for good
  $ tendril completion zsh > "\${fpath[1]}/_tendril"
  $ tendril completion fish > ~/.config/fish/completions/tendril.fish`,
    )
    .action((name: keyof typeof SCRIPTS) => void shell.stdout.write(SCRIPTS[name]));
}
