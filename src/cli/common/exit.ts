/**
 * How the command ends: with what it has printed flushed, and with its exit code even where a thread will not go. Called
 * once, last.
 */
export const EXIT_GOOD = 0
/** The command did its work, and something is wrong with what it looked at. */
export const EXIT_FINDINGS = 1
/** Wrong usage, or a plugin that could not be loaded. */
export const EXIT_USAGE = 2
/** Ended by Ctrl-C, the figures so far printed. */
export const EXIT_INTERRUPTED = 130

/**
 * Ends the process. A zombie thread holds up every other way to do that, `process.exit` included: then the process kills
 * itself, and says so, since the exit code of a killed process is not its own.
 */
export async function endProcess(hadZombies: boolean, exitCode: number): Promise<void> {
  if (hadZombies) {
    await print(
      process.stderr,
      `hookring: a plugin's thread cannot be ended, so this process kills itself; its exit code would have been ${exitCode}\n`,
    )
  }
  await Promise.all([print(process.stdout, ''), print(process.stderr, '')])
  if (hadZombies) process.kill(process.pid, 'SIGKILL')
  process.exit(exitCode)
}

/** Resolves when the text is on its way; a reader that has gone away is no error. */
export function print(stream: NodeJS.WriteStream, text: string): Promise<void> {
  return new Promise((resolve) => stream.write(text, () => resolve()))
}
