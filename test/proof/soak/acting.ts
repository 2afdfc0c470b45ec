/**
 * The hooks of the soak's plugins: they mark that they were entered, do to the call what the run has asked for, and
 * decide by decisions.ts. Runs in lanes; what it does to its own thread is the point.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { reject, replace } from 'hookring/plugin'
import { z } from 'zod'
import { type Actor, type Decision, decide } from './decisions.js'
import { idOf, isSound, type SoakEvent, traceIdOf } from './events.js'
import { type Act, createWitness, type Witness } from './evidence.js'

export const actingConfig = z.object({
  evidence: z.instanceof(SharedArrayBuffer),
  role: z.string(),
  version: z.int(),
  hooks: z.array(z.string()),
  isAsync: z.boolean(),
  column: z.int(),
  plugin: z.int(),
  orderRow: z.int(),
  /** How setup goes: `well`, `throws`, `exits`, `hangs`, or the milliseconds that it takes. */
  setup: z.union([z.enum(['well', 'throws', 'exits', 'hangs']), z.number()]),
  /** A late reply comes after so long. */
  lateMs: z.number(),
})
export type ActingConfig = z.infer<typeof actingConfig>

interface Scene {
  readonly config: ActingConfig
  readonly witness: Witness
  readonly hookpoint: string
  readonly event: SoakEvent
  readonly id: number
}

/** What leaks does so for the life of the lane. */
const leaked: unknown[] = []

type Acting = (event: SoakEvent, ctx: { readonly traceId: string | undefined }) => unknown

export async function actingHooks(config: ActingConfig): Promise<Record<string, Acting>> {
  const { evidence, column, plugin, orderRow } = config
  const witness = createWitness({ buffer: evidence, column, plugin, orderRow })
  await startUp(config, witness)
  return Object.fromEntries(config.hooks.map((hookpoint) => [hookpoint, hookOf(config, witness, hookpoint)]))
}

async function startUp({ setup }: ActingConfig, witness: Witness): Promise<void> {
  if (setup === 'throws') throw new Error('this version does not start')
  if (setup === 'exits') process.exit(3)
  if (setup === 'hangs') await new Promise(() => {})
  if (typeof setup === 'number') await sleep(setup)
  const start = witness.startUp()
  if (start.kind === 'fails') throw new Error('this start fails')
  // Half of it with the event loop blocked, as by an import that computes.
  if (start.kind === 'slow') {
    block(start.ms / 2)
    await sleep(start.ms / 2)
  }
}

function hookOf(config: ActingConfig, witness: Witness, hookpoint: string): Acting {
  return (event, ctx) => {
    const id = idOf(hookpoint, event)
    witness.enter(id)
    if (!isSound(hookpoint, event) || ctx.traceId !== traceIdOf(id)) witness.garbled()
    if (hookpoint === 'onTick') witness.inOrder(Number(String(event.key).slice('key-'.length)), Number(event.seq))
    const scene: Scene = { config, witness, hookpoint, event, id }
    const act = witness.actFor(id)
    if (act !== 'none') {
      const stopped = perform(act, scene)
      if (stopped !== undefined) return stopped.result
    }
    return config.isAsync ? later(scene) : conclude(scene)
  }
}

async function later(scene: Scene): Promise<unknown> {
  const { id } = scene
  if (id % 4 === 0) await sleep(1 + (id % 3))
  else await undefined
  return conclude(scene)
}

/** Reads the event once more: it must still be there, and the same; unless the hook was let go of at its deadline. */
function conclude({ config, witness, hookpoint, event, id }: Scene): unknown {
  try {
    if (idOf(hookpoint, event) !== id) witness.garbled()
    return resultOf(decide(config satisfies Actor, hookpoint, event))
  } finally {
    witness.leave(id)
  }
}

function resultOf(decision: Decision): unknown {
  switch (decision.kind) {
    case 'continue':
      return undefined
    case 'reject':
      return reject(decision.reason)
    case 'replace':
      return replace(decision.event)
    case 'respond':
      return decision.value
  }
}

/** Undefined: the hook goes on as if nothing had been. */
function perform(act: Act, scene: Scene): { readonly result: unknown } | undefined {
  switch (act) {
    case 'none':
      return undefined
    case 'throw':
      if (scene.config.isAsync) return { result: Promise.resolve().then(() => fall(scene)) }
      return fall(scene)
    case 'hang':
      return { result: new Promise(() => {}) }
    case 'spin':
      for (;;);
    case 'exit':
      return process.exit(scene.id % 2)
    case 'heapOverflow':
      return overflow()
    case 'badReply':
      scene.witness.leave(scene.id)
      return { result: badReply(scene.hookpoint) }
    case 'lateReply':
      return { result: sleep(scene.config.lateMs).then(() => conclude(scene)) }
    case 'unhandledRejection':
      void Promise.reject(new Error(`nobody handles call ${scene.id}`))
      return undefined
    case 'uncaughtException':
      setTimeout(() => {
        throw new Error(`nobody catches this of call ${scene.id}`)
      }, 1)
      return undefined
    case 'memoryGrowth':
      leaked.push(Array.from({ length: 20_000 }, (_, index) => index + scene.id))
      return undefined
  }
}

function fall({ witness, id }: Scene): never {
  witness.leave(id)
  throw new Error(`call ${id} was more than this plugin could take`)
}

/** Grows in small pieces until the thread's limit ends it: one large allocation would abort the process. */
function overflow(): never {
  let chain: unknown = null
  for (;;) chain = { chain, filler: [1.5, 2.5, 3.5, 4.5] }
}

function badReply(hookpoint: string): unknown {
  if (hookpoint === 'onPrice') return replace({ id: -1, customer: 5 })
  if (hookpoint === 'onQuote') return { id: 'not a number' }
  return 'not a verdict'
}

function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}
