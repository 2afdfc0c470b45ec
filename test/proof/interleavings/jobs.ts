/** Runs scenarios and mutants, on several stages at a time. For the program's main thread, and for tests. */
import { MUTANTS } from './mutants.js'
import { type Copies, type Mutant, type Patches, sizesFor } from './patched-copy.js'
import type { Scenario } from './scenario.js'
import { SCENARIOS } from './scenarios.js'
import { type ExploreResult, type FoundViolation, openStage, type StageHandle } from './stage-threads.js'

/** How many violations of one scenario are counted; one is enough to fail. */
const MOST_VIOLATIONS = 10
/** Mutants are tried with this many preemptions: one that takes more is not for a list that runs often. */
const MUTANT_BOUND = 2

export interface JobOptions {
  readonly copies: Copies
  readonly isQuick: boolean
  /** In place of each scenario's own bound. */
  readonly bound: number | null
  readonly stages: number
  onProgress(progress: JobProgress): void
}

export interface JobProgress {
  readonly done: number
  readonly all: number
  readonly what: string
}

export interface MutantResult {
  readonly name: string
  readonly caught: boolean
  /** Schedules until it was caught, over all scenarios that were tried. */
  readonly schedules: number
  readonly found: FoundViolation | null
}

export interface JobResults {
  readonly scenarios: ExploreResult[]
  readonly mutants: MutantResult[]
}

export interface Jobs {
  /** What is done so far; complete when `finished` has resolved. */
  readonly results: JobResults
  readonly finished: Promise<void>
  /** Ends all stages. The results include what was seen of the scenarios that were running. */
  stop(): Promise<void>
}

type Job = { readonly scenario: Scenario } | { readonly mutant: Mutant }

export function startJobs(
  scenarios: readonly Scenario[],
  mutants: readonly Mutant[],
  { copies, isQuick, bound, stages, onProgress }: JobOptions,
): Jobs {
  const left: Job[] = [...scenarios.map((scenario) => ({ scenario })), ...mutants.map((mutant) => ({ mutant }))]
  const all = left.length
  const results: JobResults = { scenarios: [], mutants: [] }
  const open = new Set<StageHandle>()
  /** Scenarios that are running, and how many of their schedules were seen. */
  const underWay = new Map<Scenario, number>()
  let schedules = 0
  let isStopped = false

  function told(more: number, what: string): void {
    schedules += more
    onProgress({ done: all - left.length, all, what: `${schedules} schedules, ${what}` })
  }

  async function runAll(): Promise<void> {
    const stage = createCachedStage(copies, open)
    try {
      for (;;) {
        const job = isStopped ? undefined : left.shift()
        if (job === undefined) return
        if ('scenario' in job) await runScenario(stage, job.scenario)
        else await runMutant(stage, job.mutant)
      }
    } finally {
      await stage.close()
    }
  }

  async function explore(stage: CachedStage, scenario: Scenario, patches: Patches, limit: number, most: number) {
    const handle = await stage.on(patches, sizesFor(scenario))
    let seen = 0
    const result = await handle.explore({ scenario: scenario.name, bound: limit, mostViolations: most }, (sofar) => {
      told(sofar - seen, scenario.name)
      seen = sofar
      if (underWay.has(scenario)) underWay.set(scenario, seen)
    })
    told(result.schedules - seen, scenario.name)
    return result
  }

  async function runScenario(stage: CachedStage, scenario: Scenario): Promise<void> {
    const limit = bound ?? (isQuick ? scenario.quickBound : scenario.bound)
    underWay.set(scenario, 0)
    addScenario(await explore(stage, scenario, { name: 'ships', patches: [] }, limit, MOST_VIOLATIONS))
    underWay.delete(scenario)
  }

  function addScenario(result: ExploreResult): void {
    results.scenarios.push(result)
    const place = (name: string) => SCENARIOS.findIndex((each) => each.name === name)
    results.scenarios.sort((a, b) => place(a.scenario) - place(b.scenario))
  }

  async function runMutant(stage: CachedStage, mutant: Mutant): Promise<void> {
    let tried = 0
    let found: FoundViolation | null = null
    for (const scenario of inOrder(mutant)) {
      const limit = Math.min(MUTANT_BOUND, mutant.first.includes(scenario.name) ? scenario.bound : scenario.quickBound)
      const result = await explore(stage, scenario, mutant, limit, 1)
      tried += result.schedules
      found = result.found
      if (found !== null) break
    }
    results.mutants.push({ name: mutant.name, caught: found !== null, schedules: tried, found })
    const place = (name: string) => MUTANTS.findIndex((each) => each.name === name)
    results.mutants.sort((a, b) => place(a.name) - place(b.name))
  }

  const runners = Array.from({ length: Math.max(1, Math.min(stages, all)) }, runAll)
  return {
    results,
    finished: Promise.all(runners).then(() => {}),
    async stop() {
      isStopped = true
      // Violations are reported at a scenario's end, so none is known of these.
      for (const [{ name }, seen] of underWay) {
        addScenario({ scenario: name, schedules: seen, bound: -1, longest: 0, violations: 0, found: null })
      }
      await Promise.all([...open].map((stage) => stage.close()))
    },
  }
}

/** All scenarios; those made for the mutant come first. */
function inOrder({ name, first }: Mutant): Scenario[] {
  const named = first.map((wanted) => {
    const scenario = SCENARIOS.find((each) => each.name === wanted)
    if (scenario === undefined) throw new Error(`mutant ${name}: there is no scenario ${wanted}`)
    return scenario
  })
  return [...named, ...SCENARIOS.filter((scenario) => !named.includes(scenario))]
}

interface CachedStage {
  /** A stage with this build, kept while the same one is asked for. */
  on(build: Patches, sizes: Patches): Promise<StageHandle>
  close(): Promise<void>
}

function createCachedStage(copies: Copies, open: Set<StageHandle>): CachedStage {
  let current: { key: string; handle: StageHandle } | null = null

  async function close(): Promise<void> {
    if (current === null) return
    open.delete(current.handle)
    await current.handle.close()
    current = null
  }

  return {
    async on(build, sizes) {
      const key = build.name + sizes.name
      if (current?.key === key) return current.handle
      await close()
      const handle = openStage(await copies.make(key, [...build.patches, ...sizes.patches]))
      open.add(handle)
      current = { key, handle }
      return handle
    },
    close,
  }
}
