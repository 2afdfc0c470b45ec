/** Attacks that import: Node's modules, files, other packages. */
import type { ScriptAttack } from './corpus.js'

/** By a static import, and by one that is made up at run time, which no bundler sees. */
function imported(name: string, specifier: string, use: string): ScriptAttack[] {
  const base = { kind: 'script', class: 'escape' } as const
  return [
    {
      ...base,
      name: `${name}, imported`,
      place: 'onGate',
      code: `//@import * as it from '${specifier}'\nreturn each(() => { ${use} })`,
    },
    {
      ...base,
      name: `${name}, imported at run time`,
      place: 'onGate',
      code: `const specifier = ['${specifier.slice(0, 4)}', '${specifier.slice(4)}'].join('')\nreturn import(specifier).then((it) => each(() => { ${use} }), (error) => tell('-', error.code ?? error.message))`,
    },
  ]
}

export const escapesByImport: readonly ScriptAttack[] = [
  ...imported('a file that is read', 'node:fs', "return it.readFileSync(T.secretFile, 'utf8')"),
  ...imported('a file that is written', 'node:fs', "it.writeFileSync(T.marker, 'x')"),
  ...imported(
    'the environment of the process',
    'node:fs',
    "return it.readFileSync('/proc/self/environ', 'utf8').match(/HOOKRING_SECRET=\\w+/)[0]",
  ),
  ...imported(
    'the environment of the server',
    'node:fs',
    `return it.readFileSync('/proc/' + T.pid + '/environ', 'utf8').match(/HOOKRING_SECRET=\\w+/)[0]`,
  ),
  ...imported(
    'the memory of the server',
    'node:fs',
    `it.closeSync(it.openSync('/proc/' + T.pid + '/mem', 'r+')); it.writeFileSync(T.marker, 'x')`,
  ),
  ...imported(
    'open descriptors',
    'node:fs',
    'for (let fd = 3; fd < 40; fd += 1) try { const { size } = it.fstatSync(fd); if (size === T.secretSize) return it.readFileSync(fd, "utf8") } catch {}; return "-"',
  ),
  ...imported('another process', 'node:child_process', "it.execFileSync('/bin/sh', ['-c', 'echo x > ' + T.marker])"),
  ...imported(
    'another process that kills',
    'node:child_process',
    "it.execFileSync('/bin/kill', ['-9', String(T.pid)])",
  ),
  ...imported(
    'another thread',
    'node:worker_threads',
    `new it.Worker('require("fs").writeFileSync(' + JSON.stringify(T.marker) + ', "x")', { eval: true })`,
  ),
  ...imported(
    'what the thread was given',
    'node:worker_threads',
    'return JSON.stringify(it.workerData ?? "-") + it.parentPort?.postMessage({ taskId: 0, result: T.marker })',
  ),
  ...imported(
    'the main thread, through the inspector',
    'node:inspector',
    'const session = new it.Session(); session.connectToMainThread(); session.post("Runtime.evaluate", { expression: "globalThis.hookringCanary = 1" })',
  ),
  ...imported('a connection', 'node:net', "it.connect(T.port, '127.0.0.1').on('error', () => {})"),
  ...imported('a listener', 'node:net', 'it.createServer().listen(T.freePort)'),
  ...imported('another context', 'node:vm', "return it.runInThisContext('process').env[T.secretName]"),
  ...imported(
    'another loader',
    'node:module',
    "return it.createRequire('/x.js')('fs').readFileSync(T.secretFile, 'utf8')",
  ),
  ...imported(
    'what others publish',
    'node:diagnostics_channel',
    "it.subscribe('tracing:hookring:call:start', () => {}); return '-'",
  ),
  ...imported('the engine itself', 'hookring', 'return it.createHookEngine({ contract: 1 })'),
  {
    kind: 'script',
    class: 'escape',
    name: 'code in a data URL',
    place: 'onGate',
    code: "const url = ['data:text/javascript,', 'export default process.env'].join('')\nreturn import(url).then((it) => each(() => it.default[T.secretName]), () => tell('-'))",
  },
]
