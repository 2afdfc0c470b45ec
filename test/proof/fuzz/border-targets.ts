/**
 * The doors where things are made: options, plugin specs, conditions and contracts. With anything at all, nothing but coded
 * errors comes out.
 */
import fc from 'fast-check'
import { createHookEngine, defineContract, type HookEngine } from 'hookring'
import { bytes, delivery, gate, observe, respond, transform, u32, u64 } from 'hookring/contracts'
import { z } from 'zod'
import {
  engineOptionsSchema,
  limitsSchema,
  matchSchema,
  pluginOptionsSchema,
  quarantineSchema,
} from '../../../dist/contracts/option-schemas.js'
import { parseOptions } from '../../../dist/contracts/parse-options.js'
import { compileMatch } from '../../../dist/host/fields/match.js'
import { compilePartition } from '../../../dist/host/fields/partition.js'
import { engineOptions, limits, matches, pluginSpecs, silent, words } from './option-specs.js'
import { type Target, type TargetTally, tryInput, tryLater } from './target.js'
import { anyThing, mostly, type Thing, thing } from './things.js'

/** Whatever is opened is closed. */
async function openAndClose(tally: TargetTally, open: () => Promise<HookEngine<never>>): Promise<void> {
  const outcome = await tryLater(tally, open)
  if ('value' in outcome) await outcome.value.close()
}

const engines: Target<Thing> = {
  name: 'engine options',
  group: 'borders',
  share: 1,
  cases: mostly(engineOptions),
  check: ({ value }, tally) => openAndClose(tally, () => createHookEngine(value as never) as never),
}

const specs: Target<Thing> = {
  name: 'plugin specs',
  group: 'borders',
  share: 1,
  cases: mostly(pluginSpecs),
  check: ({ value }, tally) =>
    openAndClose(tally, () =>
      createHookEngine({ contract: delivery, logger: silent, spares: 0, plugins: [value as never] } as never),
    ),
}

const parsers: Target<[string, Thing]> = {
  name: 'option schemas',
  group: 'borders',
  share: 4,
  cases: fc.oneof(
    fc.tuple(fc.constant('engine'), mostly(engineOptions)),
    fc.tuple(fc.constant('plugin'), mostly(pluginSpecs)),
    fc.tuple(fc.constant('limits'), mostly(limits)),
    fc.tuple(fc.constant('quarantine'), anyThing),
    fc.tuple(fc.constant('match'), mostly(matches)),
  ),
  check([name, { value }], tally) {
    tryInput(tally, () => parseOptions(SCHEMAS[name] as z.ZodType, value, name))
  },
}
const SCHEMAS: Readonly<Record<string, z.ZodType>> = {
  engine: engineOptionsSchema,
  plugin: pluginOptionsSchema,
  limits: limitsSchema,
  quarantine: quarantineSchema,
  match: matchSchema,
}

/** A contract with a field of each sort that conditions and partitions tell apart. */
const shaped = defineContract('shaped', 1, {
  onGate: gate(
    z.object({
      id: u32(),
      exact: u64(),
      text: z.string(),
      list: z.array(z.string()).optional(),
      inner: z.object({ count: z.number() }).nullable(),
      any: z.any(),
    }),
  ),
})
const shapes = Object.entries(shaped.hookpoints).map(([hookpoint, { plan }]) => ({ hookpoint, plan }))

const selection: Target<[Thing, Thing, Thing]> = {
  name: 'match and partitionBy',
  group: 'borders',
  share: 3,
  cases: fc.tuple(mostly(matches), mostly(words.map((value) => thing(JSON.stringify(value), value))), anyThing),
  check([match, path, event], tally) {
    const parsed = tryInput(tally, () => parseOptions(matchSchema, match.value, 'match'))
    if ('value' in parsed && typeof parsed.value === 'object') {
      tryInput(tally, () => compileMatch(parsed.value, { shapes, plugin: 'p', onError() {} } as never))
    }
    const by = tryInput(tally, () =>
      parseOptions(pluginOptionsSchema, { from: './x.mjs', partitionBy: path.value }, 'plugin'),
    )
    if (!('value' in by) || by.value.partitionBy === undefined) return
    const { partitionBy } = by.value
    const partition = tryInput(tally, () => compilePartition(partitionBy, shapes))
    if ('value' in partition) tryInput(tally, () => partition.value(event.value))
  },
}

const SCHEMA_PARTS: readonly (() => z.ZodType)[] = [
  () => z.string(),
  () => u64(),
  () => bytes(4),
  () => z.function() as never,
  () => z.map(z.string(), z.any()),
  () => z.lazy(() => z.never()),
  () => z.object({ ['__proto__']: z.string() }),
  () => z.object({ copy: z.string(), toString: z.number() }),
  () => z.record(z.symbol() as never, z.string()),
  () => z.tuple([]),
  () => z.union([z.undefined(), z.null()]),
  () => z.promise(z.string()),
  () => z.string().transform(() => Symbol('x')) as never,
  () => z.literal(['a', 2n, null]),
  () => z.nan(),
  () =>
    z.string().default(() => {
      throw new RangeError('a default that throws')
    }),
]
const schemas: fc.Arbitrary<Thing> = fc.oneof(
  fc.nat(SCHEMA_PARTS.length - 1).map((index) => thing(`schema ${index}`, SCHEMA_PARTS[index]?.())),
  fc
    .array(fc.nat(SCHEMA_PARTS.length - 1), { maxLength: 4 })
    .map((picked) =>
      thing(
        `object of schemas ${picked.join()}`,
        z.object(Object.fromEntries(picked.map((index, at) => [`f${at}`, SCHEMA_PARTS[index]?.() as z.ZodType]))),
      ),
    ),
  anyThing,
)

const contracts: Target<[Thing, Thing, Thing, Thing[]]> = {
  name: 'contracts',
  group: 'borders',
  share: 3,
  cases: fc.tuple(
    mostly(fc.constantFrom('shop', 'a-1').map((value) => thing(value, value))),
    mostly(fc.constantFrom(1, 2).map((value) => thing(String(value), value))),
    anyThing,
    fc.array(schemas, { minLength: 1, maxLength: 3 }),
  ),
  check([name, version, options, events], tally) {
    const makers = [gate, observe, transform, respond] as readonly ((...args: unknown[]) => unknown)[]
    const points: Record<string, unknown> = {}
    for (const [index, { value }] of events.entries()) {
      const made = tryInput(tally, () => makers[(index + tally.inputs) % 4]?.(value, options.value, options.value))
      points[`on${index}`] = 'value' in made ? made.value : value
    }
    tryInput(tally, () => defineContract(name.value as never, version.value as never, points as never))
    tryInput(tally, () => defineContract(name.value as never, version.value as never, options.value as never))
    tryInput(tally, () => bytes(options.value as never))
  },
}

export const BORDER_TARGETS: readonly Target[] = [parsers, selection, contracts, engines, specs] as readonly Target[]
