/**
 * The plugins in hookring: an engine with them, as on a server, in the process that turns.ts starts for it. Quarantine is
 * off, so that every call is measured, even if most fail.
 */
import type { Contract } from '../../contracts/index.js'
import { createPluginSources } from '../../host/sources/locate.js'
import { createHookEngine, type HookEngine, HookringError } from '../../index.js'
import { findContract } from '../common/contracts.js'
import type { Answer, AnswerTimes, Subject } from '../measure/subject.js'
import { eventsFor } from './events.js'
import type { About, EngineSettings, Question } from './plan.js'

export interface HookringOptions {
  readonly question: Question
  readonly engine: EngineSettings
}

type Hook = (event: unknown, options: { times?: AnswerTimes | undefined }) => PromiseLike<Answer> | undefined

const ANSWERED: Answer = { kind: 'continue' }

export async function open({ question, engine: settings }: HookringOptions): Promise<Subject> {
  const { trust, runtime, boundary, ...engineSettings } = settings
  const ways = {
    ...(trust === undefined ? {} : { trust }),
    ...(runtime === undefined ? {} : { runtime }),
    ...(boundary === undefined ? {} : { boundary }),
  }
  const contract = await contractFor(question)
  const engine = await createHookEngine({
    ...(engineSettings as object),
    contract,
    quarantine: false,
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    plugins: question.plugins.map((plugin) => ({ ...plugin, ...ways }) as never),
  })
  try {
    const about = aboutOf(engine, question)
    const events = await eventsFor(contract, about.hookpoint, question)
    const hook = (engine.hooks as Record<string, Hook>)[about.hookpoint] as Hook
    return {
      events,
      hasTimes: true,
      about: { ...about, eventCount: events.length } satisfies About,
      close: () => engine.close(),
      ...(about.kind === 'observe' ? observing(engine, hook, about.hookpoint) : { ask: asking(hook) }),
    }
  } catch (error) {
    await engine.close()
    throw error
  }
}

/** Where the contract is named, nothing is done with the plugin but what the engine does. */
async function contractFor({ contract, plugins }: Question): Promise<Contract> {
  if (contract !== undefined) return findContract(contract, '')
  const sources = createPluginSources()
  try {
    return await findContract(undefined, await sources.locate(plugins[0]?.from ?? ''))
  } finally {
    await sources.close()
  }
}

function aboutOf({ contract, plugins }: HookEngine, question: Question): Omit<About, 'eventCount'> {
  const subscribed = Object.keys(contract.hookpoints).filter((name) =>
    plugins.some(({ hooks }) => hooks.includes(name)),
  )
  const hookpoint = question.hookpoint ?? subscribed[0]
  const point = hookpoint === undefined ? undefined : contract.hookpoints[hookpoint]
  if (hookpoint === undefined) {
    throw new HookringError('OPTIONS_INVALID', `the plugins subscribe to no hookpoint of ${contract.id}`)
  }
  if (point === undefined || !subscribed.includes(hookpoint)) {
    const what =
      point === undefined ? `${contract.id} has no hookpoint ${hookpoint}` : `no plugin subscribes to ${hookpoint}`
    const code = point === undefined ? 'HOOKPOINT_UNKNOWN' : 'OPTIONS_INVALID'
    throw new HookringError(code, `--hookpoint: ${what}; the plugins subscribe to ${subscribed.join(', ')}`)
  }
  return {
    contract: contract.id,
    hookpoint,
    kind: point.kind,
    plugins: plugins.map(({ name, hooks }) => ({ name, hooks })),
    subscribed,
  }
}

function asking(hook: Hook): Subject['ask'] {
  return (event, times) => hook(event, { times }) as PromiseLike<Answer>
}

/** Nobody waits for an observation: its call ends when it is delivered. One flush serves all observations of a turn. */
function observing(engine: HookEngine, hook: Hook, hookpoint: string): Pick<Subject, 'ask' | 'unseenFailures'> {
  let flushed: Promise<Answer> | undefined
  const flushLater = async (): Promise<Answer> => {
    await Promise.resolve()
    flushed = undefined
    await engine.flush()
    return ANSWERED
  }
  return {
    ask(event, times) {
      void hook(event, { times })
      flushed ??= flushLater()
      return flushed
    },
    unseenFailures: () => countFailures(engine, hookpoint),
  }
}

/** Only the metrics show an observation's failure. */
async function countFailures(engine: HookEngine, hookpoint: string): Promise<Record<string, number>> {
  const failures: Record<string, number> = {}
  for (const line of (await engine.registry.metrics()).split('\n')) {
    const [, labels = '', count] = /^hookring_plugin_failures_total\{(.*)\} (\d+)$/.exec(line) ?? []
    const label = (name: string): string => new RegExp(`(?:^|,)${name}="([^"]*)"`).exec(labels)?.[1] ?? ''
    if (count === undefined || label('hookpoint') !== hookpoint) continue
    failures[label('failure')] = (failures[label('failure')] ?? 0) + Number(count)
  }
  return failures
}
