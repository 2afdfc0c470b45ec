/**
 * The server that is attacked: a process with an engine, canaries all around it, and one attack at a time. Answers each
 * request with what the attack came to; a process that answers no more, or is gone, is the parent's to judge.
 */
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, statSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { BroadcastChannel } from 'node:worker_threads'
import { createHookEngine, HookringError, type PluginOptions } from 'hookring'
import { delivery } from 'hookring/contracts'
import { answerRequests } from '../../../bench/instruments.js'
import { packageRoot } from '../hostile/command-line.js'
import { attacks } from './contract.mjs'
import type { Attack, AttackedBoundary, AttackedRuntime, BinaryAttack, BombAttack, ScriptAttack } from './corpus.js'
import { noBomb } from './corpus-native.js'
import { LANE_MB, MEMORY_MB } from './limits.js'
import { type LoopWatch, startLoopWatch } from './loop-watch.js'
import { startMemoryWatch } from './memory-watch.js'
import { attackerSource, NEIGHBOUR, type Targets, VICTIM, writeBeside } from './plugins.js'
import { WASM_BOMBS } from './wasm-bombs.js'

export interface AttackRequest {
  readonly attack: Attack
  readonly runtime: AttackedRuntime
  readonly boundary: AttackedBoundary
}

export interface AttackReport {
  readonly isRefused: boolean
  /** What was found outside of the sandbox, or by it: empty when nothing was. */
  readonly escapes: readonly string[]
  /** Verdicts of the neighbours that were wrong or late. */
  readonly wrong: readonly string[]
  /** Errors that reached the server's process. */
  readonly hostErrors: readonly string[]
  readonly servesAgain: boolean
  readonly loopBlockedMs: number
  readonly zombies: number
  /** By how much the server's memory was larger at most than before, where the attack was on a limit that is promised. */
  readonly grownMb: number
  /** By how much it grows in the same way for a plugin that does no harm. */
  readonly controlMb: number
  /** What the attack was answered with. */
  readonly told: string
}

const TIMEOUT_MS = 150
const NEIGHBOUR_TIMEOUT_MS = 1_000
const NEIGHBOUR_SETUP_MS = 20_000
/** The attack's own call has long been settled by then. */
const ANSWER_MS = 5_000
/** What comes late may come in this time. */
const AFTERMATH_MS = 120
const RECOVERY_MS = 8_000
const CLOSE_MS = 8_000
const SECRET_NAME = 'HOOKRING_SECRET'

const root = packageRoot()
// Inside the campaign's, which outlives processes that are killed.
const folder = mkdtempSync(join(process.env.HOOKRING_ATTACKS_FOLDER ?? '', 'server-'))

const secret = (kind: string): string => `${kind}-${randomBytes(8).toString('hex')}`
const secrets = { env: secret('env'), file: secret('file'), victim: secret('victim'), neighbour: secret('neighbour') }
process.env[SECRET_NAME] = secrets.env
const secretFile = join(folder, 'secret.txt')
writeFileSync(secretFile, secrets.file.repeat(3))
for (const [name, text] of Object.entries({
  'secret.json': JSON.stringify({ main: './secret.js', key: secrets.file }),
  'secret.js': `export default '${secrets.file}'`,
  'secret.cjs': `module.exports = '${secrets.file}'`,
  secret: secrets.file,
})) {
  writeFileSync(join(folder, name), text)
}
writeFileSync(join(folder, 'victim.mjs'), VICTIM)
writeFileSync(join(folder, 'neighbour.mjs'), NEIGHBOUR)

const hostErrors: string[] = []
process.on('uncaughtException', (error) => hostErrors.push(`uncaught: ${String(error)}`))
process.on('unhandledRejection', (error) => hostErrors.push(`unhandled: ${String(error)}`))

let visitors = 0
const server = createServer((socket) => {
  visitors += 1
  socket.on('error', () => {}).destroy()
})
const channel = new BroadcastChannel(`hookring-attacks-${process.pid}`)
let broadcasts = 0
channel.onmessage = () => {
  broadcasts += 1
}
channel.unref()
const intrinsics = [
  Object.prototype,
  Array.prototype,
  Promise.prototype,
  Map.prototype,
  Uint8Array.prototype,
  JSON,
  Atomics,
]
const before = intrinsics.map(shapeOf)
let count = 0

const ready = new Promise<number>((resolve) =>
  server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
)
server.unref()

answerRequests(async ({ attack, runtime, boundary }: AttackRequest): Promise<AttackReport> => {
  count += 1
  hostErrors.length = 0
  visitors = 0
  broadcasts = 0
  const port = await ready
  const targets: Targets = {
    secretName: SECRET_NAME,
    secretFile,
    secretSize: statSync(secretFile).size,
    marker: join(folder, `marker-${count}`),
    port,
    freePort: await freePort(),
    channel: channel.name,
    pid: process.pid,
  }
  return runAttack(attack, { runtime, boundary, targets })
})

interface Scene {
  readonly runtime: AttackedRuntime
  readonly boundary: AttackedBoundary
  readonly targets: Targets
}

async function runAttack(attack: Attack, scene: Scene): Promise<AttackReport> {
  const lines: string[] = []
  const say = (fields: object, message: string) => {
    if (lines.length < 2000) lines.push(`${message} ${JSON.stringify(fields)}`.slice(0, 4000))
  }
  const logger = { debug: say, info: say, warn: say, error: say }
  const options = { quarantine: false, hangMs: 100, setupTimeoutMs: 2_000, closeTimeoutMs: 2_000, logger } as const
  const { runtime, boundary } = scene
  const walls = wallsOf(runtime, boundary)
  const neighbours = await createHookEngine({
    ...options,
    setupTimeoutMs: NEIGHBOUR_SETUP_MS,
    contract: attacks,
    plugins: [
      { from: join(folder, 'neighbour.mjs'), timeoutMs: NEIGHBOUR_TIMEOUT_MS },
      ...(runtime === 'wasm' || runtime === 'native'
        ? []
        : [{ from: join(folder, 'victim.mjs'), ...walls, bulkhead: 'victim', timeoutMs: NEIGHBOUR_TIMEOUT_MS }]),
    ],
  })
  const watch = startLoopWatch()
  const traffic = startNeighbours(neighbours.hooks, runtime === 'wasm' || runtime === 'native')
  await sleep(20)
  watch.reset()
  const controlMb = attack.kind === 'bomb' ? await controlGrowth(scene, { ...options, walls, watch }) : LANE_MB
  watch.reset()
  const memory = startMemoryWatch()
  const done = await (attack.kind === 'script'
    ? script(attack, scene, { ...options, walls, watch })
    : binary(attack, scene, { ...options, walls, watch }))
  const loopBlockedMs = watch.stop()
  const grownMb = memory.stop()
  const wrong = await traffic.stop()
  await neighbours.close()
  const told = `${done.told} ${lines.join('\n')}`
  const escapes = [
    ...Object.entries(secrets).flatMap(([kind, value]) => (told.includes(value) ? [`the secret of ${kind}`] : [])),
    ...(existsSync(scene.targets.marker) ? ['a file was written'] : []),
    ...(visitors > 0 ? ['a connection was made'] : []),
    ...(broadcasts > 0 ? ['a broadcast was heard'] : []),
    ...('hookringCanary' in globalThis ? ['code ran in the server’s thread'] : []),
    ...(intrinsics.some((intrinsic, at) => shapeOf(intrinsic) !== before[at])
      ? ['the server’s intrinsics changed']
      : []),
    ...(/it-ran|it-attached|it-got/.test(done.told) ? [`it says: ${done.told}`] : []),
  ]
  return {
    ...done,
    told: done.told.slice(0, 200),
    escapes,
    wrong,
    hostErrors: [...hostErrors],
    loopBlockedMs,
    grownMb,
    controlMb,
  }
}

type Options = Omit<Parameters<typeof createHookEngine>[0], 'contract' | 'plugins'> & {
  walls: Partial<PluginOptions>
  watch: LoopWatch
}
type Done = Pick<AttackReport, 'isRefused' | 'servesAgain' | 'zombies' | 'told'>

async function script(attack: ScriptAttack, { targets }: Scene, { walls, watch, ...options }: Options): Promise<Done> {
  const from = attackerFile(attack, targets)
  // Files of hundreds of megabytes take this thread their time.
  watch.reset()
  const done = await withEngine(
    () =>
      createHookEngine({
        ...options,
        contract: attacks,
        plugins: [{ from, ...walls, timeoutMs: TIMEOUT_MS, limits: { memoryMb: MEMORY_MB } }],
      }),
    async ({ hooks }) => {
      // Opening an engine takes the server's thread some milliseconds, whatever is in it.
      if (attack.place !== 'import' && attack.place !== 'setup') watch.reset()
      const hookpoint = attack.place === 'onTransform' || attack.place === 'onRespond' ? attack.place : 'onGate'
      return text(await hooks[hookpoint]({ text: 'attack', id: 1, blob: new Uint8Array(8) }).catch(String))
    },
    // What it keeps is asked for as well.
    async ({ hooks }) => {
      const { kind } = await hooks.onGate({ text: 'honest', id: 2, blob: new Uint8Array(8) })
      return kind === 'continue' ? text(await hooks.onGate({ text: 'tell', id: 3, blob: new Uint8Array(8) })) : null
    },
  )
  // Whoever reads sources must read the next plugin's.
  if (attack.beside === undefined || !done.isRefused) return done
  return { ...done, servesAgain: await loadsAnother(walls, options) }
}

function attackerFile(attack: ScriptAttack, targets: Targets): string {
  if (attack.beside === undefined) {
    const from = join(folder, `attacker-${count}.mjs`)
    writeFileSync(from, attackerSource(attack, targets))
    return from
  }
  const own = join(folder, `attacker-${count}`)
  writeBeside(own, { 'package.json': { text: '{"type":"module"}' }, ...attack.beside })
  const from = join(own, 'attacker.ts')
  writeFileSync(from, `// @ts-nocheck\n${attackerSource(attack, targets)}`)
  return from
}

async function loadsAnother(
  walls: Partial<PluginOptions>,
  options: Omit<Options, 'walls' | 'watch'>,
): Promise<boolean> {
  const plugins = [{ from: join(folder, 'victim.mjs'), ...walls }]
  const open = createHookEngine({ ...options, setupTimeoutMs: NEIGHBOUR_SETUP_MS, contract: attacks, plugins })
  return open.then(
    (engine) => engine.close().then(() => true),
    () => false,
  )
}

async function binary(
  attack: BinaryAttack | BombAttack,
  { runtime, targets }: Scene,
  { walls, watch, ...options }: Options,
): Promise<Done> {
  const from =
    attack.kind === 'bomb'
      ? built(attack)
      : runtime === 'wasm'
        ? join(root, 'test/runtimes/c/acts.wasm')
        : compiled(attack.binary, targets)
  // Making the plugin took a while of this thread, and was none of its doing.
  watch.reset()
  const ask = (seq: number, payloadLen: number) => ({
    senderIdentity: null,
    recipientKey: new Uint8Array(32),
    channelId: new Uint8Array(16),
    payloadLen,
    seq,
  })
  return withEngine(
    () =>
      createHookEngine({
        ...options,
        contract: delivery,
        plugins: [{ from, ...walls, timeoutMs: TIMEOUT_MS, limits: { memoryMb: MEMORY_MB } }],
      }),
    async ({ hooks }) => {
      watch.reset()
      if (attack.kind === 'binary') return text(await hooks.onMessageEnqueue(ask(attack.act, attack.argument)))
      let told = ''
      for (let call = 0; call < attack.calls; call += 1) told = text(await hooks.onMessageEnqueue(ask(1, 0)))
      return told
    },
    async ({ hooks }) => {
      const verdict = await hooks.onMessageEnqueue(ask(0, 0))
      // A bomb knows no honest call: that it comes to anything is all that can be asked.
      return verdict.kind === 'continue' || attack.kind === 'bomb' ? '' : null
    },
  )
}

/** Opens, attacks, waits for an honest verdict, closes; each for a bounded time. */
async function withEngine<E extends { close(): Promise<void>; on(name: 'zombie', hear: () => void): unknown }>(
  open: () => Promise<E>,
  attack: (engine: E) => Promise<string>,
  honest: (engine: E) => Promise<string | null>,
): Promise<Done> {
  let engine: E
  try {
    engine = await open()
  } catch (error) {
    const code = error instanceof HookringError ? error.code : 'an error without a code'
    // Refused for what it is; what fails to load for want of a part would be no result.
    if (/MISSING/.test(code)) throw error
    return { isRefused: true, servesAgain: true, zombies: 0, told: `${code}: ${String(error)} ${causeText(error)}` }
  }
  let zombies = 0
  engine.on('zombie', () => {
    zombies += 1
  })
  let told = await Promise.race([attack(engine), sleep(ANSWER_MS, 'no answer', { ref: false })])
  await sleep(AFTERMATH_MS)
  let servesAgain = false
  const giveUp = performance.now() + RECOVERY_MS
  while (!servesAgain && performance.now() < giveUp) {
    const answer = await Promise.race([honest(engine), sleep(ANSWER_MS, null, { ref: false })])
    servesAgain = answer !== null
    if (answer === null) await sleep(20)
    else told += ` | ${answer}`
  }
  const isClosed = await Promise.race([engine.close().then(() => true), sleep(CLOSE_MS, false, { ref: false })])
  if (!isClosed) hostErrors.push('close() did not resolve')
  return { isRefused: false, servesAgain, zombies, told }
}

/** What else a server would print of an error. */
function causeText(error: unknown): string {
  const { cause } = error as { cause?: { errors?: unknown } }
  return cause === undefined ? '' : `${String(cause)} ${JSON.stringify(cause.errors ?? [])}`
}

function wallsOf(runtime: AttackedRuntime, boundary: AttackedBoundary): Partial<PluginOptions> {
  const confines = boundary === 'process' || runtime === 'quickjs' || runtime === 'wasm'
  // What no operator may call untrusted is attacked as trusted, to show why.
  return { runtime, boundary, trust: confines ? 'untrusted' : 'trusted' }
}

const controls = new Map<string, number>()

/** The second time: what the process keeps of the first is there by then, and hides nothing of what an attack takes. */
async function controlGrowth(scene: Scene, options: Options): Promise<number> {
  const key = `${scene.runtime}, ${scene.boundary}`
  let grownMb = controls.get(key)
  for (let time = 1; grownMb === undefined; time += 1) {
    const memory = startMemoryWatch()
    await binary(noBomb, scene, options)
    const took = memory.stop()
    if (time === 2) grownMb = took
  }
  controls.set(key, grownMb)
  return grownMb
}

function built({ name }: BombAttack): string {
  const file = join(folder, `bomb-${count}.wasm`)
  writeFileSync(file, WASM_BOMBS[name]())
  return file
}

const libraries = new Map<string, string>()

function compiled(name: BinaryAttack['binary'], targets: Targets): string {
  const known = libraries.get(name)
  if (known !== undefined && name === 'acts') return known
  const source = name === 'acts' ? 'test/runtimes/c/acts.c' : 'test/proof/attacks/attacks.c'
  const library = join(folder, `${name}-${count}.so`)
  const quoted = (value: string) => JSON.stringify(value)
  const defines = [
    `-DSECRET_NAME=${quoted(targets.secretName)}`,
    `-DSECRET_FILE=${quoted(targets.secretFile)}`,
    `-DMARKER=${quoted(targets.marker)}`,
    `-DPORT=${targets.port}`,
    `-DSERVER_PID=${targets.pid}`,
  ]
  const flags = [
    '-O1',
    '-w',
    '-fPIC',
    '-shared',
    '-fvisibility=hidden',
    '-I',
    join(root, 'sdk/c'),
    ...(name === 'acts' ? [] : defines),
  ]
  const { status, stderr } = spawnSync('cc', [...flags, '-o', library, join(root, source)], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${source} does not compile: ${stderr}`)
  libraries.set(name, library)
  return library
}

/** Asks the neighbours all the time; what they say is known beforehand. */
function startNeighbours(
  hooks: Awaited<ReturnType<typeof createHookEngine<typeof attacks.hookpoints>>>['hooks'],
  isAlone: boolean,
) {
  const wrong: string[] = []
  const underWay = new Set<Promise<void>>()
  let id = 0
  const ask = async () => {
    id += 1
    const mine = id
    const event = { text: secrets.neighbour, id: mine, blob: new Uint8Array(mine % 50) }
    const [neighbour, victim] = await Promise.all([
      hooks.onNeighbour(event),
      isAlone ? null : hooks.onVictim({ ...event, text: secrets.victim }),
    ])
    if (reasonOf(neighbour) !== `n${mine} ${secrets.neighbour} ${mine % 50}`)
      wrong.push(`neighbour: ${text(neighbour)}`)
    if (victim !== null && reasonOf(victim) !== `v${mine}`) wrong.push(`victim: ${text(victim)}`)
  }
  const timer = setInterval(() => {
    if (underWay.size > 100) return
    const one = ask().catch((error: unknown) => void wrong.push(String(error)))
    underWay.add(one)
    void one.finally(() => underWay.delete(one))
  }, 4)
  return {
    async stop() {
      clearInterval(timer)
      await Promise.all(underWay)
      return wrong.map((what) => what.replaceAll(/(victim|neighbour)-[0-9a-f]{16}/g, '$1-secret')).slice(0, 5)
    },
  }
}

function reasonOf(verdict: { kind: string }): string | undefined {
  return (verdict as { reason?: string }).reason
}

function text(value: unknown): string {
  return typeof value === 'string'
    ? value
    : JSON.stringify(value, (_key, part) => (typeof part === 'bigint' ? String(part) : part))
}

/** What of an object attacks would change. */
function shapeOf(intrinsic: object): string {
  const all = Object.getOwnPropertyDescriptors(intrinsic) as Record<string, PropertyDescriptor>
  return Object.entries(all)
    .map(
      ([key, { value, writable }]) =>
        `${key} ${typeof value === 'function' ? `${value.name} ${value.length}` : typeof value} ${writable}`,
    )
    .join('\n')
}

async function freePort(): Promise<number> {
  const probe: Server = createServer()
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve))
  const { port } = probe.address() as AddressInfo
  await new Promise((resolve) => probe.close(resolve))
  return port
}
