/** engine.record(): what reaches the file, and that nobody else notices. */
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createHookEngine, type GateVerdict } from 'hookring'
import { defineContract, delivery, gate } from 'hookring/contracts'
import { generateEvents, replayEvents } from 'hookring/testing'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { z } from 'zod'
import { lab } from '../fixtures/lab/contract.mjs'
import { actor, openLab, refusalOf, silent } from '../support/lab.js'
import { runProgram } from '../support/programs.js'

let folder: string
let count = 0
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hookring-recordings-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const newFile = () => join(folder, `${++count}.ndjson`)

async function collect<T>(from: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const each of from) all.push(each)
  return all
}

/** Without its message, which tells times. */
const essence = (verdict: GateVerdict) => ({
  kind: verdict.kind,
  plugin: 'plugin' in verdict ? verdict.plugin : undefined,
  failure: verdict.failure?.kind,
})

const inLab = (file: string) => collect(replayEvents(file, { contract: lab }))

describe('a recording', () => {
  it('holds the events of every hookpoint as they were made, in their order', async () => {
    const file = newFile()
    const engine = await createHookEngine({ contract: delivery, spares: 0, logger: silent })
    onTestFinished(() => engine.close())
    const recording = await engine.record(file)
    const made = []
    for (const hookpoint of Object.keys(delivery.hookpoints) as (keyof typeof delivery.hookpoints)[]) {
      const next = generateEvents(delivery, hookpoint, { seed: 5 })
      for (let i = 0; i < 40; i += 1) {
        const event = next()
        made.push({ hookpoint, event: delivery.hookpoints[hookpoint].event.parse(event) })
        await engine.hooks[hookpoint](event as never)
      }
    }
    expect(await recording.stop()).toEqual({ file, recorded: 240, dropped: 0, left: 0, problem: null })
    const replayed = await collect(replayEvents(file, { contract: delivery }))
    expect(replayed.map(({ hookpoint, event }) => ({ hookpoint, event }))).toEqual(made)
    expect(replayed.map(({ atMs }) => atMs)).toEqual(replayed.map(({ atMs }) => atMs).sort((a, b) => a - b))
    expect((await collect(replayEvents(file, { contract: delivery, hookpoint: 'onFetch' }))).length).toBe(40)
  })

  it('holds what was asked, whatever became of it, with its trace id', async () => {
    const file = newFile()
    const { engine, hooks } = await openLab({ plugins: [actor('judge')] })
    const recording = await engine.record(file)
    await hooks.onGate({ id: 1, acts: { judge: 'rejects no' } }, { traceId: 'trace-1' })
    await hooks.onTransform({ id: 2, text: 'as made', acts: { judge: 'marks' } })
    await recording.stop()
    expect(await inLab(file)).toMatchObject([
      { hookpoint: 'onGate', event: { id: 1 }, traceId: 'trace-1', line: 2 },
      { hookpoint: 'onTransform', event: { id: 2, text: 'as made' }, traceId: undefined, line: 3 },
    ])
  })

  it('lets a call that nobody else is asked about settle at once', async () => {
    const { engine, hooks } = await openLab()
    await engine.record(newFile())
    let settled: unknown
    void hooks.onGate({}).then((verdict) => {
      settled = verdict
    })
    // No turn of the event loop, and so no answer of a lane.
    for (let turns = 0; turns < 3; turns += 1) await undefined
    expect(settled).toEqual({ kind: 'continue' })
  })

  it('changes no verdict, and no call or verdict that is counted', async () => {
    const plain = await openLab({ plugins: [actor('judge')] })
    const recorded = await openLab({ plugins: [actor('judge')] })
    await recorded.engine.record(newFile())
    const acts = ['continues', 'rejects no', 'throws x', 'returns text']
    for (const act of acts) {
      const event = { text: 'e', acts: { judge: act } }
      expect(essence(await recorded.hooks.onGate(event))).toEqual(essence(await plain.hooks.onGate(event)))
    }
    for (const metric of ['calls_total', 'verdicts_total']) {
      expect(await recorded.metric(metric)).toBe(await plain.metric(metric))
    }
  })

  it('can be of some hookpoints, and of a share of the calls', async () => {
    const file = newFile()
    const { engine, hooks } = await openLab()
    const recording = await engine.record(file, { hookpoints: ['onGate'], sample: 0.5 })
    for (let id = 0; id < 400; id += 1) {
      await hooks.onGate({ id })
      hooks.onObserve({ id })
    }
    const { recorded } = await recording.stop()
    expect(recorded).toBeGreaterThan(100)
    expect(recorded).toBeLessThan(300)
    expect(new Set((await inLab(file)).map(({ hookpoint }) => hookpoint))).toEqual(new Set(['onGate']))
  })

  it('is a file for its owner alone, whose first line says what it is', async () => {
    const file = newFile()
    const { engine } = await openLab()
    await (await engine.record(file, { redact: ['text'], sample: 0.25 })).stop()
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    const [header, end] = (await readFile(file, 'utf8')).trim().split('\n')
    expect(JSON.parse(header as string)).toMatchObject({
      hookring: 'recording',
      version: 1,
      contract: { name: 'lab', version: 1 },
      hookpoints: Object.keys(lab.hookpoints),
      redacted: ['text'],
      sample: 0.25,
    })
    expect(JSON.parse(end as string)).toEqual({ end: { recorded: 0, dropped: 0, left: 0 } })
  })

  it('drops what its lane has no room for, and says how much', async () => {
    const file = newFile()
    const { engine, hooks } = await openLab()
    const recording = await engine.record(file)
    const made = 12_000
    // In one turn: more than slots and queue hold together.
    for (let id = 0; id < made; id += 1) hooks.onObserve({ id })
    const { recorded, dropped } = await recording.stop()
    expect(dropped).toBeGreaterThan(0)
    expect(recorded).toBeGreaterThan(0)
    expect(recorded + dropped).toBe(made)
    expect((await inLab(file)).length).toBe(recorded)
  })

  it('stops when its file is full, and says so', async () => {
    const file = newFile()
    const { engine, hooks, line } = await openLab()
    const recording = await engine.record(file, { maxBytes: 8192 })
    const filler = 'x'.repeat(1000)
    for (let id = 0; id < 20; id += 1) await hooks.onGate({ id, text: filler })
    await line(({ message }) => message.includes('maxBytes'))
    const { recorded, left, problem } = await recording.stop()
    expect(problem).toContain('has reached maxBytes (8192)')
    expect(recorded).toBe(7)
    expect(recorded + left).toBe(20)
    expect((await inLab(file)).length).toBe(7)
    expect(engine.plugins).toEqual([])
    expect((await stat(file)).size).toBeLessThan(8192 + 100)
  })

  it('ends with its engine', async () => {
    const file = newFile()
    const { engine, hooks } = await openLab({}, { keep: true })
    const recording = await engine.record(file)
    await hooks.onGate({ id: 7 })
    await engine.close()
    expect(await inLab(file)).toMatchObject([{ event: { id: 7 } }])
    expect(await recording.stop()).toMatchObject({ recorded: 1, problem: null })
  })

  it('runs beside others, each with a name of its own', async () => {
    const [one, two] = [newFile(), newFile()]
    const { engine, hooks } = await openLab()
    const recordings = await Promise.all([engine.record(one), engine.record(two, { hookpoints: ['onObserve'] })])
    expect(new Set(recordings.map(({ plugin }) => plugin)).size).toBe(2)
    await hooks.onGate({})
    hooks.onObserve({})
    expect((await recordings[1].stop()).recorded).toBe(1)
    await hooks.onGate({})
    expect((await recordings[0].stop()).recorded).toBe(3)
  })

  it('of a process that died is readable up to the last whole line', async () => {
    const file = newFile()
    const { signal } = await runProgram('recording-cut-short.mjs', [file])
    expect(signal).toBe('SIGKILL')
    const events = await collect(replayEvents(file, { contract: lab, allowTruncated: true }))
    expect(events.length).toBeGreaterThan(0)
    expect(events.map(({ event }) => event.id)).toEqual(events.map((_, index) => index))
    const error = await refusalOf(inLab(file))
    expect(error.code).toBe('RECORDING_INVALID')
  })

  it('goes on after the last whole line, when a lane before it died while it wrote', async () => {
    const file = newFile()
    const first = await openLab({}, { keep: true })
    const recording = await first.engine.record(file)
    await first.hooks.onGate({ id: 1 })
    await recording.stop()
    await first.engine.close()
    const [header, line] = (await readFile(file, 'utf8')).split('\n') as [string, string]
    await writeFile(file, `${header}\n${line}\n${line.slice(0, 40)}`)
    const from = new URL('../../dist/hooks/recorder.js?contract=lab@1', import.meta.url)
    const hookpoints = [{ name: 'onGate', plan: lab.hookpoints.onGate.plan, redacted: [] }]
    const config = { file, startedAtMs: Date.now(), maxBytes: 1e6, hookpoints }
    const next = await openLab({ plugins: [{ from, name: 'recorder-1', config }] }, { keep: true })
    await next.hooks.onGate({ id: 2 })
    await next.engine.close()
    const events = await collect(replayEvents(file, { contract: lab, allowTruncated: true }))
    expect(events.map(({ event }) => event.id)).toEqual([1, 2])
  })
})

describe('redaction', () => {
  it('keeps values out of the file, in the lane, before they are written', async () => {
    const file = newFile()
    const { engine, hooks } = await openLab()
    const recording = await engine.record(file, { redact: ['text', 'onGate.key', 'acts'] })
    await hooks.onGate({ text: 'the secret', key: 'the key', acts: { judge: 'the act' } })
    await hooks.onTransform({ text: 'the secret', key: 'no secret here' })
    await recording.stop()
    const text = await readFile(file, 'utf8')
    expect(text).not.toMatch(/the secret|the key|the act|judge/)
    expect(await inLab(file)).toMatchObject([
      { event: { text: 'xxxxxxxxxx', key: 'xxxxxxx', acts: {} } },
      { event: { text: 'xxxxxxxxxx', key: 'no secret here' } },
    ])
  })

  it.each<[string, object]>([
    ['a field that no event has', { redact: ['txet'] }],
    ['a field of another hookpoint', { redact: ['onGate.size'] }],
    ['a field that is not recorded', { hookpoints: ['onObserve'], redact: ['onGate.text'] }],
    ['a value of another type', { redact: { text: 5 } }],
  ])('is refused for %s', async (_, options) => {
    const file = newFile()
    const { engine } = await openLab()
    const error = await refusalOf(engine.record(file, options))
    expect(error.code).toBe('OPTIONS_INVALID')
    expect(error.message).toMatch(/^record: redact: .*(txet|onGate\.size|onGate\.text|text)/)
    await expect(stat(file)).rejects.toThrow('ENOENT')
  })

  it('asks for a value where the schema admits no other, and writes that', async () => {
    const contract = defineContract('post', 1, { onMail: gate(z.object({ to: z.email(), hops: z.int() })) })
    const engine = await createHookEngine({ contract, spares: 0, logger: silent })
    onTestFinished(() => engine.close())
    const error = await refusalOf(engine.record(newFile(), { redact: ['to'] }))
    expect(error.message).toContain(`redact: { "to": 'a value that fits' }`)
    expect((await refusalOf(engine.record(newFile(), { redact: { to: 'nobody' } }))).code).toBe('OPTIONS_INVALID')
    const file = newFile()
    const recording = await engine.record(file, { redact: { to: 'someone@post.example', hops: true } })
    await engine.hooks.onMail({ to: 'alice@post.example', hops: 3 })
    await recording.stop()
    expect(await collect(replayEvents(file, { contract }))).toMatchObject([
      { event: { to: 'someone@post.example', hops: 0 } },
    ])
  })
})

describe('record() is refused', () => {
  it('for a file that exists, which it leaves as it is', async () => {
    const file = newFile()
    await writeFile(file, 'kept')
    const { engine } = await openLab()
    const error = await refusalOf(engine.record(file))
    expect(error.code).toBe('OPTIONS_INVALID')
    expect(error.message).toContain('exists already')
    expect(await readFile(file, 'utf8')).toBe('kept')
  })

  it.each<[string, string, object, string]>([
    ['a folder that does not exist', 'none/here.ndjson', {}, 'OPTIONS_INVALID'],
    ['an unknown hookpoint', 'a.ndjson', { hookpoints: ['onGat'] }, 'HOOKPOINT_UNKNOWN'],
    ['a sample of nothing', 'a.ndjson', { sample: 0 }, 'OPTIONS_INVALID'],
    ['an option that there is not', 'a.ndjson', { rotate: true }, 'OPTIONS_INVALID'],
  ])('for %s', async (_, file, options, code) => {
    const { engine } = await openLab()
    expect((await refusalOf(engine.record(join(folder, file), options))).code).toBe(code)
    expect(engine.plugins).toEqual([])
  })

  it('by an engine that is closed', async () => {
    const { engine } = await openLab({}, { keep: true })
    await engine.close()
    expect((await refusalOf(engine.record(newFile()))).code).toBe('ENGINE_CLOSED')
  })
})
