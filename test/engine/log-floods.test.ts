/** Plugins that log without end, in every runtime and behind every boundary: what reaches the server's logger is bounded, flat and counted. */
import { createHookEngine, type PluginOptions } from 'hookring'
import { delivery } from 'hookring/contracts'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ACTS } from '../runtimes/c-abi-plugins.js'
import { pluginFile } from '../support/broken-plugins.js'
import { until } from '../support/lab.js'
import { noSandbox } from '../support/processes.js'
import { recordingLogger } from '../support/recording-logger.js'

/** What a bulkhead may log: a burst, and so much a second. In characters of the batch, so of the messages at the most. */
const BURST_CHARS = 4 * 1024 * 1024
const CHARS_PER_MS = (1024 * 1024) / 1000
/** Of one line: a message and its fields are cut at 8 and 16 Ki, and what is said of it stands beside them. */
const LINE_CHARS = 32 * 1024

const SCRIPT = `
import { definePlugin } from 'hookring/plugin'
export default definePlugin({ name: 'delivery', version: 1, hookpoints: {} }, { name: 'flood', setup: () => ({
  onMessageEnqueue({ payloadLen }, { log }) {
    const deep = (n) => n === 0 ? 'x' : { n: deep(n - 1) }
    for (let i = 0; i < payloadLen; i += 1) log.info('flood ' + 'm'.repeat(20_000), { deep: deep(40), many: 'f'.repeat(12_000) })
    log.info('calm')
  },
}) })`

const event = (payloadLen: number) => ({
  senderIdentity: null,
  recipientKey: new Uint8Array(32),
  channelId: new Uint8Array(16),
  payloadLen,
  // Of the plugin in C: it logs.
  seq: 20n,
})

async function flood(plugin: PluginOptions, { calls, lines }: { calls: number; lines: number }) {
  const logger = recordingLogger()
  const sinceMs = performance.now()
  const engine = await createHookEngine({
    contract: delivery,
    plugins: [{ timeoutMs: 10_000, ...plugin }],
    quarantine: false,
    spares: 0,
    hangMs: 10_000,
    logger,
  })
  onTestFinished(() => engine.close())
  for (let call = 0; call < calls; call += 1)
    expect(await engine.hooks.onMessageEnqueue(event(lines))).toEqual({ kind: 'continue' })
  const dropped = async () => {
    const rows = (await engine.registry.metrics()).matchAll(/^hookring_log_lines_dropped_total\{.*\} (\d+)$/gm)
    return [...rows].reduce((sum, [, value]) => sum + Number(value), 0)
  }
  const said = () => logger.lines.filter(({ message }) => /^(flood|logged)/.test(message))
  return { logger, said, dropped, elapsedMs: () => performance.now() - sinceMs }
}

const chars = (line: object) => JSON.stringify(line).length

describe('a flood of log lines', () => {
  it.each([
    ['module', 'thread', 1_000],
    ['compartment', 'thread', 1_000],
    ['quickjs', 'thread', 250],
    ['module', 'process', 1_000],
    ['quickjs', 'process', 250],
  ] as const)(
    'of runtime %s in a %s is bounded, and what is dropped is counted',
    { timeout: 60_000 },
    async (runtime, boundary, lines) => {
      if (boundary === 'process' && noSandbox !== null) return
      const from = pluginFile(SCRIPT, { prelude: '' })
      const { logger, said, dropped, elapsedMs } = await flood({ from, runtime, boundary }, { calls: 8, lines })
      await until('dropped lines to be counted', async () => (await dropped()) > 0)
      const total = logger.lines.reduce((sum, line) => sum + chars(line), 0)
      expect(total).toBeLessThan(BURST_CHARS + elapsedMs() * CHARS_PER_MS + LINE_CHARS)
      expect(said().length + (await dropped())).toBeLessThanOrEqual(8 * (lines + 1))
      expect(said().length).toBeGreaterThan(0)
      // Small, flat records: nothing of forty levels, no message of 20,000 characters.
      for (const line of said().slice(0, 20)) {
        expect(chars(line)).toBeLessThan(LINE_CHARS)
        expect(JSON.stringify(line)).not.toMatch(/(\{"n":){8}/)
      }
      expect(logger.lines).toContainEqual(
        expect.objectContaining({ level: 'warn', message: 'log lines of plugins were dropped' }),
      )
    },
  )

  // Native code has no log of its own, and its standard error stream another budget.
  it.each(['thread', 'process'] as const)('of WebAssembly in a %s as well', { timeout: 60_000 }, async (boundary) => {
    if (boundary === 'process' && noSandbox !== null) return
    const { said, elapsedMs } = await flood({ from: ACTS.wasm, boundary }, { calls: 3, lines: 20_000 })
    await until('some lines', () => said().length > 0)
    expect(said().length).toBeLessThan(60_000)
    expect(said().length * 'logged'.length).toBeLessThan(BURST_CHARS + elapsedMs() * CHARS_PER_MS)
  })
})
