/**
 * The engines of the soak as they are at the moment: makes calls on them and enters each into the ledger, changes their
 * plugins, closes one and makes it again. Host's thread only.
 */
import { createHookEngine, type EngineEvents, type HookEngine, HookringError, type Verdict } from 'hookring'
import type { ActingConfig } from './acting.js'
import { createCasting, TIMEOUT_MS } from './casting.js'
import type { Asked, Stay } from './entries.js'
import { KEYS, type Mood, makeEvent, traceIdOf } from './events.js'
import type { Act, Evidence } from './evidence.js'
import type { Link } from './judge.js'
import type { Ledger } from './ledger.js'
import { CASTS, type Cast, kindOf, type Role, roleOf } from './roles.js'

/** What is particular about one call. */
export interface Making {
  readonly mood?: Mood
  readonly act?: Act
  readonly actor?: Role
  readonly signal?: AbortSignal
  readonly timeoutMs?: number
  readonly isMisfit?: boolean
}

export interface StageOptions {
  readonly evidence: Evidence
  readonly ledger: Ledger
  now(): number
  /** A call has settled, after so long. */
  onSettled(tookMs: number, isByPolicy: boolean): void
}

export interface Stage {
  /** Fires the hookpoint on the engine of this name as it is now. */
  fire(engine: string, hookpoint: string, making?: Making): void
  /** Loads the plugin again. `setup` other than a number of milliseconds or `well` must leave the old version in place. */
  reload(engine: string, role: string, setup: ActingConfig['setup'] | 'unimportable'): Promise<void>
  add(engine: string, role: string): Promise<void>
  remove(engine: string, role: string): Promise<void>
  hold(engine: string, role: string): void
  release(engine: string, role: string): void
  /** Closes the engine and puts a new one in its place. */
  recreate(engine: string): Promise<void>
  /** Closes all engines, and the accounts of what they were asked. */
  close(): Promise<void>
  /** Changes that an engine refused, by code. */
  readonly refusedChanges: Readonly<Record<string, number>>
  /** Lanes that were replaced, by reason. */
  readonly lanesReplaced: Readonly<Record<string, number>>
  /** `error` events, by code. */
  readonly errors: Readonly<Record<string, number>>
  readonly quarantines: number
  readonly zombies: number
}

/** An open engine. */
interface Open extends Stay {
  readonly engine: HookEngine
  readonly links: Map<string, Link>
  /** Plugins that an operator holds. */
  readonly held: Set<string>
}

/** A busy machine may take longer over a start than is allowed. */
const MOST_TRIES = 5
const SILENT = { debug() {}, info() {}, warn() {}, error() {} }

export async function openStage({ evidence, ledger, now, onSettled }: StageOptions): Promise<Stage> {
  const open = new Map<string, Open>()
  const refusedChanges: Record<string, number> = {}
  const lanesReplaced: Record<string, number> = {}
  const errors: Record<string, number> = {}
  const { versionOf, nextVersion, optionsOf } = createCasting(evidence)
  const sequences = new Uint32Array(KEYS)
  let nextId = 1
  let nextKey = 0
  let instances = 0
  let holds = 0
  let quarantines = 0
  let zombies = 0

  async function openEngine(cast: Cast): Promise<Open> {
    const present = cast.roles.filter((role) => role.isGuest !== true)
    const links = new Map(present.map((role) => [role.name, { role, versions: [versionOf(role)] }]))
    // What was to go wrong in the starts of an engine that is gone is not meant for this one.
    for (const { plugin } of present) evidence.clearStarts(plugin)
    const engine = await createHookEngine({
      contract: cast.contract,
      plugins: present.map((role) => optionsOf(cast, role)),
      timeoutMs: TIMEOUT_MS,
      hangMs: 60,
      setupTimeoutMs: 2_500,
      closeTimeoutMs: 3_000,
      // Arenas have room for several of the largest events, and every lane has one.
      maxEventBytes: 128 * 1024,
      limits: { memoryMb: 40, slots: 256, queue: 512 },
      quarantine: cast.isRecreated === true ? false : { windowMs: 3_000, minFailures: 8, ratio: 0.4, cooldownMs: 500 },
      logger: SILENT,
    })
    const opened: Open = {
      cast,
      engine,
      links,
      instance: ++instances,
      isClosing: false,
      refusals: 0,
      passedBy: new Map(),
      held: new Set(),
    }
    listen(opened)
    return opened
  }

  function listen(opened: Open): void {
    const on = <Name extends keyof EngineEvents>(name: Name, heard: (event: EngineEvents[Name][0]) => void) =>
      opened.engine.on(name, (event) => heard(event))
    on('deadLetter', (letter) => ledger.letter(opened, letter))
    on('error', ({ code }) => {
      if (code === 'ENGINE_CLOSED') opened.refusals += 1
      else errors[code] = (errors[code] ?? 0) + 1
    })
    on('laneReplaced', ({ reason }) => {
      lanesReplaced[reason] = (lanesReplaced[reason] ?? 0) + 1
    })
    on('pluginQuarantined', ({ by }) => {
      if (by === 'failures') quarantines += 1
    })
    on('zombie', () => {
      zombies += 1
    })
  }

  function fire(name: string, hookpoint: string, making: Making = {}): void {
    const on = openOf(name)
    const id = nextId++
    const { act = 'none', actor = null } = making
    evidence.open(id, actor?.column ?? 0, actor === null ? 'none' : act)
    const event = makeEvent(hookpoint, id, making.mood, orderOf(hookpoint))
    const asked: Asked = {
      stay: on,
      hookpoint,
      event,
      ...presentAt(on, hookpoint),
      holds,
      act: actor === null ? 'none' : act,
      actor,
      signal: making.signal,
      isMisfit: making.isMisfit === true,
    }
    const hook = on.engine.hooks[hookpoint] as unknown as Hook
    const traceId = traceIdOf(id)
    const options = {
      ...(traceId === undefined ? {} : { traceId }),
      ...(making.signal === undefined ? {} : { signal: making.signal }),
      ...(making.timeoutMs === undefined ? {} : { timeoutMs: making.timeoutMs }),
    }
    const given = asked.isMisfit ? { ...event, id: 'not a number', seq: -1 } : event
    if (kindOf(on.cast, hookpoint) === 'observe') {
      ledger.told(id, asked)
      hook(given, options)
      return
    }
    ledger.asked(id, asked)
    const madeMs = now()
    const settled = (outcome: { verdict: Verdict } | { error: unknown }) => {
      ledger.settled(id, outcome, holds)
      onSettled(now() - madeMs, 'verdict' in outcome && outcome.verdict.failure !== undefined)
    }
    ;(hook(given, options) as Promise<Verdict>).then(
      (verdict) => settled({ verdict }),
      (error: unknown) => settled({ error }),
    )
  }

  /** Who is asked from this very moment on, by the engine's own word, and in what state they are. */
  function presentAt(on: Open, hookpoint: string): Pick<Asked, 'links' | 'states'> {
    const states = new Map(on.engine.plugins.map((plugin) => [plugin.name, plugin.state]))
    for (const plugin of on.held) {
      const state = states.get(plugin)
      if (state === undefined || state === 'held') continue
      on.held.delete(plugin)
      ledger.lostQuarantine(plugin)
    }
    const links = [...on.links.values()]
      .filter(({ role }) => states.has(role.name) && role.hooks.includes(hookpoint))
      .sort((a, b) => b.role.priority - a.role.priority)
    return { links, states }
  }

  function orderOf(hookpoint: string) {
    if (hookpoint !== 'onTick') return undefined
    const key = nextKey++ % KEYS
    sequences[key] = (sequences[key] as number) + 1
    return { key, seq: sequences[key] as number }
  }

  /** @returns whether the engine made the change. */
  async function changing(change: () => Promise<void>): Promise<boolean> {
    try {
      await change()
      return true
    } catch (error) {
      const code = error instanceof HookringError ? error.code : String(error)
      refusedChanges[code] = (refusedChanges[code] ?? 0) + 1
      return false
    }
  }

  function setVersions(on: Open, role: Role, next: (versions: readonly number[]) => number[]): void {
    const link = on.links.get(role.name)
    if (link !== undefined) on.links.set(role.name, { role, versions: next(link.versions) })
  }

  async function reload(name: string, roleName: string, setup: ActingConfig['setup'] | 'unimportable'): Promise<void> {
    const on = openOf(name)
    const role = roleOf(name, roleName)
    const version = nextVersion(role)
    const isToServe = setup === 'well' || typeof setup === 'number'
    const options = optionsOf(on.cast, role, setup === 'unimportable' ? 'well' : setup)
    if (setup === 'unimportable') options.from = new URL('./plugins/broken.js', import.meta.url)
    if (isToServe) setVersions(on, role, (versions) => [...versions, version])
    const hasChanged = await changing(() => on.engine.reload(roleName, options))
    setVersions(on, role, (versions) => versions.filter((each) => (hasChanged ? each >= version : each !== version)))
  }

  async function recreate(name: string): Promise<void> {
    const old = openOf(name)
    if (old.isClosing) return
    old.isClosing = true
    const closed = old.engine.close()
    // Until the new one is there the old one is asked, and refuses.
    let fresh: Open | null = null
    for (let tries = 0; fresh === null && tries < MOST_TRIES; tries++) {
      await changing(async () => {
        fresh = await openEngine(old.cast)
      })
    }
    if (fresh === null) throw new Error(`engine ${name} could not be made again`)
    open.set(name, fresh)
    await closed
    await accountFor(old, new Map())
  }

  async function accountFor(closed: Open, quarantined: ReadonlyMap<string, number>): Promise<void> {
    // What the engine has said last is told by then.
    await new Promise((resolve) => setImmediate(resolve))
    ledger.close(closed, quarantined)
  }

  async function close(): Promise<void> {
    await Promise.all(
      [...open.values()].map(async (on) => {
        // The counts are read when nothing is under way, and before they go with the engine.
        if (on.cast.isRecreated !== true) await on.engine.flush()
        const quarantined = await quarantinedOf(on)
        on.isClosing = true
        await on.engine.close()
        await accountFor(on, quarantined)
      }),
    )
  }

  function openOf(name: string): Open {
    const found = open.get(name)
    if (found === undefined) throw new Error(`engine ${name} is not open`)
    return found
  }

  for (const cast of CASTS) open.set(cast.name, await openEngine(cast))

  return {
    fire,
    reload,
    async add(name, roleName) {
      const on = openOf(name)
      const role = roleOf(name, roleName)
      // Known before it is there: it counts from the moment that the engine names it.
      if (!on.links.has(roleName)) on.links.set(roleName, { role, versions: [versionOf(role)] })
      await changing(() => on.engine.add(optionsOf(on.cast, role)))
    },
    async remove(name, roleName) {
      await changing(() => openOf(name).engine.remove(roleName))
    },
    hold(name, role) {
      const on = openOf(name)
      holds += 1
      on.engine.quarantine(role)
      on.held.add(role)
    },
    release(name, role) {
      const on = openOf(name)
      holds += 1
      on.held.delete(role)
      on.engine.release(role)
    },
    recreate,
    close,
    refusedChanges,
    lanesReplaced,
    errors,
    get quarantines() {
      return quarantines
    },
    get zombies() {
      return zombies
    },
  }
}

type Hook = (event: unknown, options: object) => unknown

/** How many observations the engine says went by each of its plugins for a quarantine. */
async function quarantinedOf({ engine, cast }: Open): Promise<Map<string, number>> {
  const counted = new Map<string, number>()
  for (const line of (await engine.registry.metrics()).split('\n')) {
    const [, text = '', value] = /^hookring_plugin_failures_total\{(.*)\} (\S+)$/.exec(line) ?? []
    const labels = Object.fromEntries([...text.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, label]) => [key, label]))
    const { plugin, hookpoint, failure } = labels
    if (plugin === undefined || hookpoint === undefined || failure !== 'quarantined') continue
    if (kindOf(cast, hookpoint) !== 'observe') continue
    counted.set(plugin, (counted.get(plugin) ?? 0) + Number(value))
  }
  return counted
}
