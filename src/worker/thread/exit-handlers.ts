/**
 * `process.on('exit')` of plugins, at an orderly end: a thread or process that is ended from outside runs none of them. A
 * lane's thread, or its child process.
 */
export class ExitHandlers {
  readonly #before: readonly unknown[] = process.rawListeners('exit')

  /** Runs those that were added since this was made, once. @param onError told what one of them throws */
  run(onError: (error: unknown) => void): void {
    const code = process.exitCode ?? 0
    for (const handler of process.rawListeners('exit')) {
      if (this.#before.includes(handler)) continue
      process.off('exit', handler as () => void)
      try {
        Reflect.apply(handler, process, [code])
      } catch (error) {
        onError(error)
      }
    }
  }
}
