/**
 * Plugins that V8 cannot end: what they cost their callers, their neighbours, and an engine that closes. Each in a process of
 * its own, since no process with such a thread ends by itself.
 */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { fixture } from '../support/lab.js'
import { runProgram } from '../support/programs.js'

type Said = { what: string } & Record<string, unknown>

/** Runs a scene of programs/zombies.mjs up to `last`, and kills it. */
async function playScene(scene: string, last: string): Promise<Said[]> {
  const program = fileURLToPath(fixture('programs/zombies.mjs'))
  const child = spawn(process.execPath, [program, scene], { stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = new Promise<NodeJS.Signals | null>((resolve) => child.once('close', (_, signal) => resolve(signal)))
  const said: Said[] = []
  let [rest, errors] = ['', '']
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), 25_000)
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() as string
    said.push(...lines.map((line) => JSON.parse(line) as Said))
    if (said.at(-1)?.what === last) child.kill('SIGKILL')
  })
  expect(await ended).toBe('SIGKILL')
  clearTimeout(timer)
  expect(errors).toBe('')
  expect(said.at(-1)?.what).toBe(last)
  return said
}

/** Generous: each such thread keeps a core busy, and machines have few. */
const SLACK_MS = 1_500
const SOME_MS = expect.any(Number)

describe('a thread that cannot be ended', () => {
  it('costs callers their deadline, each time, and the lane after it serves', async () => {
    const said = await playScene('calls', 'closed')
    expect(said.map(({ what }) => what)).toEqual(['calls', 'replaced', 'calls', 'replaced', 'closed'])
    for (const round of [1, 2]) {
      const [calls, replaced] = said.slice(2 * (round - 1)) as [Said, Said]
      expect(calls).toEqual({
        what: 'calls',
        round,
        wedged: { kind: 'reject', plugin: 'stuck', failure: 'timeout', tookMs: SOME_MS },
        behind: Array(3).fill({ kind: 'reject', plugin: 'stuck', failure: 'timeout', tookMs: SOME_MS }),
        beside: Array(20).fill({ kind: 'reject', plugin: 'neighbour', tookMs: SOME_MS }),
        pending: 'CALL_ABORTED',
      })
      for (const { tookMs } of [calls.wedged, ...(calls.behind as unknown[])] as { tookMs: number }[]) {
        expect(tookMs).toBeLessThan(100 + SLACK_MS)
      }
      expect(replaced).toEqual({
        what: 'replaced',
        reason: 'hang',
        plugin: 'stuck',
        next: { kind: 'reject', plugin: 'stuck', tookMs: SOME_MS },
        zombie: { bulkhead: 'stuck', graceMs: 150 },
        zombies: round,
      })
    }
    expect(said.at(-1)?.tookMs).toBeLessThan(5_000)
  })

  it('in setup is a refusal, and the next engine starts', async () => {
    const said = await playScene('setup', 'closed')
    expect(said).toMatchObject([
      { what: 'refused', code: 'PLUGIN_SETUP_TIMEOUT', plugin: 'stuck' },
      { what: 'next', kind: 'reject', plugin: 'sound' },
      { what: 'closed' },
    ])
    expect(said[0]?.tookMs).toBeLessThan(300 + 150 + 2 * SLACK_MS)
  })

  it('in the setup of a plugin that is added leaves the others as they were', async () => {
    expect(await playScene('added', 'closed')).toMatchObject([
      { what: 'refused', code: 'PLUGIN_SETUP_TIMEOUT', plugin: 'stuck', zombies: 1 },
      { what: 'next', kind: 'reject', plugin: 'sound' },
      { what: 'closed' },
    ])
  })

  it('does not hold up close(), which refuses what was waiting', async () => {
    const said = await playScene('closing', 'after')
    expect(said).toMatchObject([
      { what: 'closed' },
      { what: 'after', calls: ['ENGINE_CLOSED', 'ENGINE_CLOSED', 'ENGINE_CLOSED'], zombie: 'trusted' },
    ])
    expect(said[0]?.tookMs).toBeLessThan(5_000)
  })

  it('in destroy does not hold up close() either', async () => {
    const said = await playScene('destroy', 'after')
    expect(said).toMatchObject([
      { what: 'before', kind: 'reject' },
      { what: 'closed' },
      { what: 'after', zombie: 'trusted' },
    ])
    expect(said[1]?.tookMs).toBeLessThan(5_000)
  })

  it('does not keep the command from ending, with all that it has printed', async () => {
    const { signal, said, stderr } = await runProgram('zombies.mjs', ['command'])
    expect(signal).toBe('SIGKILL')
    expect(said.map(({ what }) => what)).toEqual(['verdict', 'closed', 'last'])
    expect(stderr).toContain('its exit code would have been 1')
  })

  it('does not keep `hookring check` from ending, which says what it has found', async () => {
    const command = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
    const plugin = fileURLToPath(fixture('lab/wedging.mjs'))
    const child = spawn(process.execPath, [command, 'check', plugin, '--events', '5', '--json'])
    const timer = setTimeout(() => child.kill('SIGKILL'), 25_000)
    let printed = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      printed += text
    })
    const code = await new Promise((resolve) => child.once('close', resolve))
    clearTimeout(timer)
    expect(code).toBe(1)
    expect(JSON.stringify(JSON.parse(printed))).toContain('cannot-be-stopped')
  })
})
