/**
 * A page of the documentation as a project: its files in a folder, its commands run there, its servers started and ended.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { dirname, join, relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isAsShown, type Snippet } from './markdown-snippets.js'
import { type Ran, run, write } from './tarball.js'

const SHUTDOWN_MS = 15_000
const START_MS = 20_000
/** Node.js strips types by itself from here on. */
const STRIPS_TYPES = 22

export interface PageProjectOptions {
  readonly folder: string
  /** Where its TypeScript is compiled to. */
  readonly compiled: string
  /** The folder whose node_modules it has. */
  readonly shared: string
  /** The Node.js that it runs on. */
  readonly binary: string
  /** Of that Node.js. */
  readonly major: number
}

export class PageProject {
  readonly #options: PageProjectOptions
  #server: { process: ChildProcess; what: string; printed: { stdout: string; stderr: string } } | null = null
  /** What the block before printed. */
  #printed: string | null = null

  constructor(options: PageProjectOptions) {
    this.#options = options
  }

  /** @returns what is wrong; null when all is as the page says */
  async take(snippet: Snippet): Promise<string | null> {
    const printed = this.#printed
    this.#printed = null
    const { use, file, text } = snippet
    if (file !== null && use !== 'skip') await write(this.#options.folder, { [file]: text })
    switch (use) {
      case 'write':
      case 'fragment':
      case 'show':
        return this.#parse(snippet)
      case 'run':
        return this.#finish(await this.#shell(`node ${file}`))
      case 'test':
        return this.#finish(
          await this.#shell(/from 'vitest'/.test(text) ? `vitest run --root . ${file}` : `node --test ${file}`),
        )
      case 'shell':
        return this.#finish(await this.#shell(text))
      case 'serve':
        return (await this.stop()) ?? this.#start(file === null ? text : `node ${file}`, snippet)
      case 'output':
        if (printed === null) return 'nothing before it has printed anything'
        return isAsShown(text, printed) ? null : `shown:\n${text}\nprinted:\n${printed}`
      case 'skip':
        return null
    }
  }

  /** Ends the server that runs. @returns what is wrong with its end */
  async stop(): Promise<string | null> {
    const server = this.#server
    this.#server = null
    if (server === null) return null
    const { process: child, what, printed } = server
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit', { signal: AbortSignal.timeout(SHUTDOWN_MS) }).catch(() => null)
      signal(child, 'SIGTERM')
      if ((await ended) === null) {
        signal(child, 'SIGKILL')
        return `${what} did not end within ${SHUTDOWN_MS} ms of SIGTERM\n${printed.stdout}${printed.stderr}`
      }
    }
    const isInOrder = child.exitCode === 0 || child.exitCode === 143 || child.signalCode === 'SIGTERM'
    return isInOrder ? null : `${what} ended with ${child.exitCode ?? child.signalCode}\n${printed.stderr}`
  }

  async #parse({ language, file, text, use }: Snippet): Promise<string | null> {
    if (language === 'json') {
      try {
        JSON.parse(text)
      } catch (error) {
        return String(error)
      }
    }
    if (use !== 'write' || !/\.[cm]?js$/.test(file ?? '')) return null
    const { code, stderr } = await run(this.#options.binary, ['--check', file as string], this.#options.folder)
    return code === 0 ? null : stderr
  }

  #finish({ code, stdout, stderr }: Ran): string | null {
    this.#printed = stdout
    return code === 0 ? null : `exit code ${code}\n${stdout}${stderr}`
  }

  #shell(script: string): Promise<Ran> {
    return run('bash', ['-c', this.#script(script)], this.#options.folder, this.#environment())
  }

  async #start(script: string, { port, line }: Snippet): Promise<string | null> {
    const child = spawn('bash', ['-c', this.#script(script)], {
      cwd: this.#options.folder,
      env: { ...process.env, NODE_OPTIONS: '', ...this.#environment() },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    const printed = { stdout: '', stderr: '' }
    const isUp = new Promise<boolean>((resolve) => {
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        printed.stdout += text
        if (port === null && printed.stdout.includes('\n')) resolve(true)
      })
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        printed.stderr += text
      })
      child.once('exit', () => resolve(false))
      if (port !== null) void answers(port, () => child.exitCode !== null).then(resolve)
    })
    this.#server = { process: child, what: `the server of line ${line}`, printed }
    const isRunning = await Promise.race([isUp, sleep(START_MS, false, { ref: false })])
    this.#printed = printed.stdout
    return isRunning ? null : `it does not listen\n${printed.stdout}${printed.stderr}`
  }

  /** What a reader's shell does, but that what is installed already is only looked up. */
  #script(text: string): string {
    const { folder, compiled, shared, binary, major } = this.#options
    const toCompiled =
      major >= STRIPS_TYPES
        ? ''
        : `[[ $argument == *.ts && $argument != -* ]] && argument="${relative(folder, compiled)}/\${argument%.ts}.js"`
    return `set -euo pipefail
npx() { while [[ $1 == -* ]]; do shift; done; "$@"; }
npm() {
  case $1 in
    install | i | add | ci)
      shift
      for argument in "$@"; do
        case $argument in -*) continue ;; esac
        name=\${argument%@[0-9a-z^~]*}
        [ -d '${shared}/node_modules/'"\${name:-$argument}" ] || { echo "$argument is not installed for the tests" >&2; return 1; }
      done ;;
    *) command npm "$@" ;;
  esac
}
node() {
  local arguments=() argument
  for argument in "$@"; do
    ${toCompiled || ':'} || true
    arguments+=("$argument")
  done
  '${binary}' "\${arguments[@]}"
}
${text}`
  }

  #environment(): Record<string, string> {
    const { shared, binary } = this.#options
    return { PATH: [join(shared, 'node_modules/.bin'), dirname(binary), process.env.PATH].join(':'), NO_COLOR: '1' }
  }
}

/** To the shell and what it has started. */
function signal(child: ChildProcess, name: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(-(child.pid as number), name)
  } catch {
    // It has ended.
  }
}

async function answers(port: number, isOver: () => boolean): Promise<boolean> {
  while (!isOver()) {
    const socket = connect(port, '127.0.0.1')
    const isOpen = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (isOpen) return true
    await sleep(50)
  }
  return false
}
