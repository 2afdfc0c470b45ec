/**
 * The plugins without hookring, for the contenders: their hooks are called one after the other with a plain event, in the
 * contender's own thread. There are no deadlines, no isolation between plugins and no policy: what a hook throws reaches
 * the caller.
 */
import { safeParse } from '../../contracts/ask-schema.js'
import type { Contract, Schema } from '../../contracts/index.js'
import { readResult } from '../../testing/index.js'
import { findContract } from '../common/contracts.js'
import { importPlugin } from '../common/plugin-modules.js'
import type { Work } from '../measure/contenders/question.js'
import type { Answer, Events } from '../measure/subject.js'
import { eventsFor } from './events.js'
import type { Question } from './plan.js'

/** The plugins as file: URLs that Node.js can import. */
export interface ContenderOptions extends Question {
  readonly hookpoint: string
  readonly plugins: readonly { readonly from: string; readonly config?: unknown; readonly name: string }[]
}

type Hook = (event: unknown, context: object) => unknown
type Step = (event: unknown) => unknown

interface Definition {
  readonly config?: { parse(config: unknown): unknown }
  setup(context: object): Promise<Readonly<Record<string, Hook | undefined>>>
}

const CONTINUE: Answer = { kind: 'continue' }
/** Long enough: the contenders have no deadlines. */
const DEADLINE_MS = 60_000

export async function openEvents(options: ContenderOptions): Promise<Events> {
  const contract = await contractOf(options)
  const events = await eventsFor(contract, options.hookpoint, options)
  const { event: schema } = contract.hookpoints[options.hookpoint] as Contract['hookpoints'][string]
  // As hooks see them, with defaults filled in: a server without hookring would do the same.
  return { events: events.map((event) => copyable(ownBytes(parsed(schema, event)))) }
}

function parsed(schema: Schema, event: unknown): unknown {
  const result = safeParse(schema, event)
  if (result.success) return result.data
  throw result.error
}

export async function openWork(options: ContenderOptions): Promise<Work> {
  const { kind } = (await contractOf(options)).hookpoints[options.hookpoint] as Contract['hookpoints'][string]
  const steps: Step[] = []
  for (const plugin of options.plugins) {
    const step = await stepOf(plugin, options.hookpoint)
    if (step !== undefined) steps.push(step)
  }
  const ask = (event: unknown, from: number): Answer | Promise<Answer> => {
    for (let index = from; index < steps.length; index++) {
      const result = (steps[index] as Step)(event)
      if (isThenable(result)) return result.then((settled) => decide(settled, event, index))
      const answer = answerOf(result)
      if (answer !== undefined) return goOn(answer, index)
    }
    return CONTINUE
  }
  const decide = (result: unknown, event: unknown, index: number): Answer | Promise<Answer> => {
    const answer = answerOf(result)
    return answer === undefined ? ask(event, index + 1) : goOn(answer, index)
  }
  /** The next plugin is asked about the replacement. */
  const goOn = (answer: Answer & { event?: unknown }, index: number): Answer | Promise<Answer> => {
    if (answer.kind !== 'replace' || index + 1 === steps.length) return answer
    const next = ask(copyable(answer.event), index + 1)
    const keep = (settled: Answer): Answer => (settled.kind === 'continue' ? answer : settled)
    return isThenable(next) ? next.then(keep) : keep(next)
  }
  const answerOf = (result: unknown): (Answer & { event?: unknown }) | undefined => {
    const read = readResult(kind, result)
    if (read.kind === 'continue') return undefined
    if (read.kind === 'invalid') throw new Error(read.message)
    return read
  }
  return (event) => ask(copyable(event), 0)
}

function contractOf({ contract, plugins }: ContenderOptions): Promise<Contract> {
  return findContract(contract, plugins[0]?.from ?? '')
}

async function stepOf(plugin: ContenderOptions['plugins'][number], hookpoint: string): Promise<Step | undefined> {
  const definition = (await importPlugin(plugin.from)).default as Definition
  const silent = () => {}
  const context = {
    plugin: plugin.name,
    config: definition.config === undefined ? undefined : definition.config.parse(plugin.config),
    log: { debug: silent, info: silent, warn: silent, error: silent },
  }
  const hooks = await definition.setup(context)
  const hook = hooks[hookpoint]
  if (hook === undefined) return undefined
  const { signal } = new AbortController()
  const { plugin: name, config, log } = context
  return (event) =>
    hook.call(hooks, event, {
      plugin: name,
      config,
      log,
      signal,
      traceId: undefined,
      deadline: Date.now() + DEADLINE_MS,
    })
}

const WITH_COPY = {
  copy(): object {
    return structuredClone({ ...this })
  },
}

/** Hooks may ask an event for a copy of itself. */
function copyable(event: unknown): unknown {
  if (typeof event !== 'object' || event === null || Object.getPrototypeOf(event) !== Object.prototype) return event
  return Object.setPrototypeOf(event, WITH_COPY)
}

/** A slice of a larger buffer would make structured clone copy the whole buffer. */
function ownBytes<T>(value: T): T {
  if (value instanceof Uint8Array) return new Uint8Array(value) as T
  if (Array.isArray(value)) return value.map(ownBytes) as T
  if (typeof value !== 'object' || value === null || value instanceof Date) return value
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, ownBytes(each)])) as T
}

function isThenable(value: unknown): value is Promise<Answer> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}
