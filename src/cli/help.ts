/** @param pairs a command line and what it does @returns the examples at the end of a command's help */
export function examples(...pairs: readonly (readonly [command: string, what: string])[]): string {
  const width = Math.max(...pairs.map(([command]) => command.length));
  return `\nExamples:\n${pairs.map(([command, what]) => `  ${command.padEnd(width)}  # ${what}`).join('\n')}\n`;
}
