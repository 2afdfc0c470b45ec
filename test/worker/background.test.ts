/** What plugins have going on between calls: it goes on in a lane of synchronous hooks that waits. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Session } from 'node:inspector'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { pluginFile } from '../support/broken-plugins.js'
import { openLab, until } from '../support/lab.js'
import { noSandbox } from '../support/processes.js'
import { runProgram } from '../support/programs.js'

/** A plugin whose setup, or whose hook, is `body`; `heard()` is to be called later, while no call is made. */
const plugin = (body: string, { inHook = false } = {}) => ({
  from: pluginFile(`
    import { spawn } from 'node:child_process'
    import { watch } from 'node:fs'
    import { createServer } from 'node:net'
    import { setTimeout as later } from 'node:timers/promises'
    import { Worker } from 'node:worker_threads'
    export default definePlugin(lab, { name: 'own', setup({ log }) {
      const heard = (what = '') => log.info('heard ' + what)
      const begin = () => { ${body} }
      ${inHook ? '' : 'begin()'}
      return { onGate() { ${inHook ? 'begin()' : ''} } }
    } })`),
  timeoutMs: 5_000,
})

/** Bundled, a plugin imports by paths. */
const BUNDLED = {
  prelude: `import { definePlugin } from 'hookring/plugin'; import { lab } from '../../test/fixtures/lab/contract.mjs'\n`,
}

/** None of these holds an event loop open, but for the last ones. */
const QUIET: readonly (readonly [name: string, body: string])[] = [
  ['AbortSignal.timeout', `AbortSignal.timeout(30).addEventListener('abort', () => heard())`],
  ['a timer of timers/promises that is not ref’d', `later(30, null, { ref: false }).then(() => heard())`],
  ['an unref’d timer', `setTimeout(heard, 30).unref()`],
  [
    'an unref’d message port',
    `const { port1, port2 } = new MessageChannel(); port1.on('message', () => heard()); port1.unref(); setTimeout(() => port2.postMessage(1), 30).unref()`,
  ],
  ['an unref’d child process', `spawn('true').on('exit', () => heard()).unref()`],
  [
    'immediates, one after the other',
    `let left = 200; const step = () => (--left > 0 ? setImmediate(step) : heard()); setImmediate(step)`,
  ],
  ['an interval that is not ref’d', `let count = 0; setInterval(() => { if (++count === 2) heard() }, 20).unref()`],
  [
    'Atomics.waitAsync',
    `Atomics.waitAsync(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 30).value.then(() => heard())`,
  ],
  [
    'a compilation of WebAssembly',
    `WebAssembly.compile(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])).then(() => heard())`,
  ],
  ['an import', `import('node:tls').then(() => import('data:text/javascript,1')).then(() => heard())`],
  [
    'an unref’d broadcast channel',
    `const [hears, tells] = [new BroadcastChannel('own'), new BroadcastChannel('own')]; hears.onmessage = () => heard(); hears.unref(); tells.unref(); setTimeout(() => tells.postMessage(1), 30).unref()`,
  ],
  [
    'an unref’d thread',
    `const thread = new Worker('setTimeout(() => require("node:worker_threads").parentPort.postMessage(1), 30)', { eval: true }); thread.on('message', () => heard()); thread.unref()`,
  ],
  ['a request', `fetch('data:text/plain,x').then(() => heard())`],
]

describe('in a lane that waits', () => {
  it.each(QUIET)('%s made by setup comes back', async (_name, body) => {
    const { line } = await openLab({ wait: 'park', plugins: [plugin(body)] })
    await line(({ message }) => message.startsWith('heard'))
  })

  it.each(QUIET)('%s made by a synchronous hook comes back', async (_name, body) => {
    const { hooks, line } = await openLab({ wait: 'park', plugins: [plugin(body, { inHook: true })] })
    await hooks.onGate({})
    await line(({ message }) => message.startsWith('heard'))
  })

  it('the same holds with several plugins in the lane', async () => {
    const { line } = await openLab({
      wait: 'park',
      plugins: [plugin(QUIET[0]?.[1] ?? ''), { ...plugin(''), name: 'b' }],
    })
    await line(({ message }) => message.startsWith('heard'))
  })

  it.each(['', '.unref()'])('a server answers: listen()%s', async (unref) => {
    const body = `const server = createServer((socket) => socket.end('yes')).listen(0, () => heard(server.address().port))${unref}`
    const { line } = await openLab({ wait: 'park', plugins: [plugin(body)] })
    const { message } = await line((said) => said.message.startsWith('heard'))
    const answer = await new Promise((resolve, reject) => {
      connect(Number(message.split(' ')[1]), '127.0.0.1', function (this: NodeJS.ReadableStream) {
        this.once('data', (data: Buffer) => resolve(data.toString()))
      }).once('error', reject)
    })
    expect(answer).toBe('yes')
  })

  it.each(['', ', { persistent: false }'])('a watcher hears: watch(file%s)', async (options) => {
    const folder = mkdtempSync(join(tmpdir(), 'background-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const file = join(folder, 'watched')
    writeFileSync(file, 'x')
    const body = `watch(${JSON.stringify(file)}${options}, () => heard())`
    const { lines } = await openLab({ wait: 'park', plugins: [plugin(body)] })
    await until('the watcher to hear', () => {
      writeFileSync(file, 'y')
      return lines.some(({ message }) => message.startsWith('heard'))
    })
  })
})

it('a lane that waits answers the inspector', async () => {
  await openLab({ wait: 'park', plugins: [plugin('')] })
  const session = new Session()
  session.connect()
  onTestFinished(() => session.disconnect())
  const answered = new Promise<string>((resolve) => {
    session.on('NodeWorker.attachedToWorker', ({ params: { sessionId } }) => {
      const message = JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression: '1 + 1' } })
      session.post('NodeWorker.sendMessageToWorker', { sessionId, message })
    })
    session.on('NodeWorker.receivedMessageFromWorker', ({ params }) => resolve(params.message))
  })
  session.post('NodeWorker.enable', { waitForDebuggerOnStart: false })
  expect(JSON.parse(await answered)).toMatchObject({ id: 1, result: { result: { value: 2 } } })
})

describe.skipIf(noSandbox !== null)('in a process that waits', () => {
  it.each(QUIET.slice(0, 3))('%s made by setup comes back', async (_name, body) => {
    const from = pluginFile(
      `export default definePlugin(lab, { name: 'own', setup({ log }) {
        const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms).unref())
        const heard = () => log.info('heard')
        ${body}
        return { onGate() {} }
      } })`,
      BUNDLED,
    )
    const { line } = await openLab({ plugins: [{ from, boundary: 'process', timeoutMs: 5_000 }] })
    await line(({ message }) => message.startsWith('heard'))
  })
})

it('is not what a thread itself has made before its first plugin: such a child would never block in its pipe again', async () => {
  const { said } = await runProgram('background.mjs')
  expect(said).toEqual([
    { what: 'before', needsLoop: false },
    { what: 'before, again', needsLoop: false },
    { what: 'idle', needsLoop: false },
    { what: 'with a timer', needsLoop: true },
  ])
})

describe('process.on(‘exit’)', () => {
  it.each([
    ['thread', null],
    ['process', noSandbox],
  ] as const)('of a plugin in a %s runs when the engine closes', async (boundary, missing) => {
    if (missing !== null) return
    const source = `export default definePlugin(lab, { name: 'own', setup({ log }) {
      process.on('exit', () => { log.info('left'); throw new Error('on leaving') })
      process.once('exit', (code) => log.info('left once ' + code))
      return { onGate() {} }
    } })`
    const from = pluginFile(source, boundary === 'process' ? BUNDLED : {})
    const { engine, lines } = await openLab({ plugins: [{ from, boundary, timeoutMs: 5_000 }] })
    await engine.close()
    const said = lines.map(({ message }) => message)
    expect(said.filter((message) => message.startsWith('left'))).toEqual(['left', 'left once 0'])
    expect(said).toContainEqual(expect.stringContaining('an exit handler failed: Error: on leaving'))
  })
})
