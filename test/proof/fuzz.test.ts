/** The fuzzing of `npm run fuzz`, in short. A failure prints its seed: set it as SEED to see it again. */
import { describe, expect, it } from 'vitest'
import { BORDER_TARGETS } from './fuzz/border-targets.js'
import { runFuzz } from './fuzz/campaign.js'
import { DECODER_TARGETS } from './fuzz/decoder-targets.js'
import { IMPORT_TARGETS } from './fuzz/import-targets.js'
import { LIVE_TARGETS } from './fuzz/live-targets.js'

const SEED = process.env.SEED === undefined ? Date.now() & 0x7fff_ffff : Number(process.env.SEED)

describe('the decoders', () => {
  it.each(DECODER_TARGETS.map((target) => [target.name, target] as const))(
    `%s: bytes come to a value or a coded error (seed ${SEED})`,
    { timeout: 60_000 },
    async (name, target) => {
      const { findings, targets } = await runFuzz({ seed: SEED, inputs: 6_000, targets: [target] })
      expect(findings).toEqual([])
      expect(targets[name]?.inputs).toBeGreaterThanOrEqual(6_000)
      expect(targets[name]?.taken).toBeGreaterThan(100)
      expect(Object.keys(targets[name]?.refused ?? {})).toContain('EVENT_INVALID')
    },
  )
})

describe('the doors', () => {
  it.each([...BORDER_TARGETS, ...LIVE_TARGETS, ...IMPORT_TARGETS].map((target) => [target.name, target] as const))(
    `%s: anything comes to a value or a coded error (seed ${SEED})`,
    { timeout: 60_000 },
    async (_, target) => {
      const { findings, inputs } = await runFuzz({ seed: SEED, inputs: 2_400, targets: [target] })
      expect(findings).toEqual([])
      expect(inputs).toBeGreaterThanOrEqual(600)
    },
  )
})
