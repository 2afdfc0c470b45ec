/**
 * Runs a plan: seats hookring and its contenders, lets them take turns, and gathers the results. It runs on the command's
 * own thread, where nothing is measured.
 */
import { createPluginSources, type PluginSources } from '../../host/sources/locate.js'
import { UsageError } from '../common/errors.js'
import { CONTENDERS, type ContenderName } from '../measure/contenders/index.js'
import { locatePackage } from '../measure/packages.js'
import type { ProgressLine } from '../measure/progress-line.js'
import { type Load, loadText } from '../measure/subject.js'
import {
  countRetaken,
  countSteps,
  leaveSeats,
  retakenText,
  type Seat,
  type Seated,
  type TurnControl,
  takeSeat,
  takeTurns,
} from '../measure/turns.js'
import type { ContenderOptions } from './contender-question.js'
import { findLimit } from './find-limit.js'
import type { HookringOptions } from './hookring-subject.js'
import { type About, type BenchFindings, type BenchPlan, type Measured, ROUNDS } from './plan.js'

/** The package that a contender needs, if it needs one. */
const PACKAGES: Readonly<Partial<Record<ContenderName, string>>> = {
  comlink: 'comlink/dist/esm/comlink.mjs',
  piscina: 'piscina',
  tinypool: 'tinypool',
  workerpool: 'workerpool',
}

/** @throws UsageError, with the engine's or the package's code, for what cannot be loaded */
export async function runBench(plan: BenchPlan, progress: ProgressLine, control: TurnControl): Promise<BenchFindings> {
  for (const name of plan.compare) requirePackage(name)
  const sources = createPluginSources()
  const seated: Seated[] = []
  try {
    const first = await takeSeat(hookringSeat(plan))
    seated.push(first)
    if (first.broken !== undefined) throw new UsageError(first.broken.code ?? 'PLUGIN_CRASHED', first.broken.message)
    const about = first.about as About
    if (plan.compare.length > 0) {
      const options = await contenderOptions(plan, about, sources)
      const contenders = plan.compare.map((name) => takeSeat(contenderSeat(name, options, plan.loads)))
      seated.push(...(await Promise.all(contenders)))
    }
    const steps = plan.limit === undefined ? [] : await findLimit(first, plan, plan.limit, progress, control)
    if (plan.limit === undefined) {
      progress.expect(
        countSteps(
          seated.map(({ seat }) => seat),
          { rounds: ROUNDS },
        ),
      )
      const roundMs = plan.durationMs / ROUNDS
      await takeTurns(seated, { rounds: ROUNDS, roundMs, warmUpMs: plan.warmUpMs, progress, control })
    }
    return {
      plan,
      about,
      measured: seated.flatMap(measuredOf),
      steps,
      isInterrupted: control.isStopped,
      retaken: retakenText(countRetaken(seated)),
    }
  } finally {
    progress.done()
    await leaveSeats(seated)
    await sources.close()
  }
}

function requirePackage(name: ContenderName): void {
  const specifier = PACKAGES[name]
  if (specifier === undefined) return
  try {
    locatePackage(specifier)
  } catch (error) {
    const { code, message } = error as { code: string; message: string }
    throw new UsageError(code, `--compare ${name}: ${message}`)
  }
}

function hookringSeat({ question, engine, loads }: BenchPlan): Seat {
  return {
    name: 'hookring',
    module: new URL('./hookring-subject.js', import.meta.url),
    options: { question, engine } satisfies HookringOptions,
    loads,
  }
}

function contenderSeat(name: ContenderName, options: ContenderOptions, loads: readonly Load[]): Seat {
  const module = new URL('./contender-question.js', import.meta.url).href
  return { name, module: CONTENDERS[name], options: { module, options }, loads }
}

/** TypeScript is compiled here, once for all contenders. */
async function contenderOptions(
  { question }: BenchPlan,
  about: About,
  sources: PluginSources,
): Promise<ContenderOptions> {
  const plugins = await Promise.all(
    question.plugins.map(async (plugin, index) => ({
      ...plugin,
      from: await sources.locate(plugin.from),
      name: about.plugins[index]?.name ?? plugin.from,
    })),
  )
  return { ...question, hookpoint: about.hookpoint, plugins }
}

function measuredOf({ seat, rounds, notes, broken, memory }: Seated): Measured[] {
  return seat.loads.map((load) => ({
    name: seat.name,
    load,
    rounds: rounds.get(loadText(load)) ?? [],
    note: notes.get(loadText(load)),
    broken: broken?.message,
    memory,
  }))
}
