/** A lane as its plugins know it: how long an event can be read, what runs when, and what is left alone. */
import { describe, expect, it } from 'vitest'
import { pluginFile } from '../support/broken-plugins.js'
import { actor, createTrail, openLab, readTrail, until } from '../support/lab.js'

/** A plugin of the lab with a trail to write to; `body` is the inside of setup. */
const plugin = (body: string, trail: SharedArrayBuffer) => ({
  from: pluginFile(`export default definePlugin(lab, {
    name: 'own',
    config: z.object({ trail: z.instanceof(SharedArrayBuffer) }),
    setup({ config: { trail }, log }) { ${body} },
  })`),
  config: { trail },
  timeoutMs: 5_000,
})

describe('an event', () => {
  it('can be read while its hook runs, and afterwards as far as it was read', async () => {
    const trail = createTrail()
    const { hooks } = await openLab({
      plugins: [
        plugin(
          `
        const kept = []
        return {
          onGate(event) {
            if (event.id === 1) { void event.text; kept.push(event, event.copy()); return }
            const [first, copy] = kept
            note(trail, first.text)
            note(trail, copy.text + copy.key)
            try { note(trail, 'key ' + first.key) } catch (error) { note(trail, error.code + ' ' + error.name) }
            try { first.copy(); note(trail, 'copied') } catch (error) { note(trail, error.code) }
          },
        }`,
          trail,
        ),
      ],
    })
    await hooks.onGate({ id: 1, text: 'first', key: 'k' })
    expect(await hooks.onGate({ id: 2, text: 'second', key: 'other' })).toEqual({ kind: 'continue' })
    expect(readTrail(trail)).toEqual(['first', 'firstk', 'EVENT_EXPIRED HookringError', 'EVENT_EXPIRED'])
  })

  it('of an async hook can be read until the hook has settled, others going by meanwhile', async () => {
    const { hooks } = await openLab({ plugins: [actor('a', { timeoutMs: 5_000 })] })
    const slow = Array.from({ length: 10 }, (_, id) =>
      hooks.onTransform({ id, text: `slow ${id}`, key: 'x'.repeat(id * 50), acts: { a: 'waits 40 marks' } }),
    )
    for (let id = 0; id < 50; id += 1) await hooks.onGate({ id, text: 'y'.repeat(id * 20), acts: { a: 'continues' } })
    for (const [id, verdict] of (await Promise.all(slow)).entries()) {
      expect(verdict).toMatchObject({ kind: 'replace', event: { id, text: `slow ${id}+a`, key: 'x'.repeat(id * 50) } })
    }
  })

  it('of an async hook that is let go of at its deadline can be read no more', async () => {
    const trail = createTrail()
    const { hooks } = await openLab({
      plugins: [
        {
          ...plugin(
            `return {
        async onGate(event) {
          await new Promise((resolve) => setTimeout(resolve, 120))
          try { note(trail, 'key ' + event.key) } catch (error) { note(trail, error.code) }
        },
      }`,
            trail,
          ),
          timeoutMs: 50,
        },
      ],
    })
    expect(await hooks.onGate({ key: 'k' })).toMatchObject({ failure: { kind: 'timeout' } })
    await until('the hook to go on', () => readTrail(trail).length === 1)
    expect(readTrail(trail)).toEqual(['EVENT_EXPIRED'])
  })

  it('gives each plugin its own bytes, which others do not see change', async () => {
    const { hooks } = await openLab({
      plugins: [
        {
          ...plugin('return { onTransform(event) { event.blob.fill(9) } }', createTrail()),
          name: 'scribbler',
          priority: 1,
        },
        actor('b'),
      ],
    })
    const blob = Uint8Array.of(1, 2, 3)
    const verdict = await hooks.onTransform({ blob, acts: { b: 'marks' } })
    expect(verdict).toMatchObject({ kind: 'replace', event: { blob: Uint8Array.of(1, 2, 3) } })
    expect(blob).toEqual(Uint8Array.of(1, 2, 3))
  })
})

describe('a lane', () => {
  it('keeps a plugin’s state in its closures, from call to call', async () => {
    const { hooks } = await openLab({
      plugins: [plugin('let calls = 0; return { onRespond: () => ({ text: String((calls += 1)) }) }', createTrail())],
    })
    for (const text of ['1', '2', '3']) expect(await hooks.onRespond({})).toMatchObject({ value: { text } })
  })

  it('calls hooks on the object that setup returned', async () => {
    const { hooks } = await openLab({
      plugins: [
        plugin(
          "const hooks = { onRespond() { return { text: this === hooks ? 'own' : 'other' } } }; return hooks",
          createTrail(),
        ),
      ],
    })
    expect(await hooks.onRespond({})).toMatchObject({ value: { text: 'own' } })
  })

  it('that sleeps wakes for its plugins’ timers', async () => {
    const trail = createTrail()
    const { hooks } = await openLab({
      wait: 'park',
      plugins: [plugin("setInterval(() => note(trail, 'tick'), 10).unref(); return { onGate() {} }", trail)],
    })
    await until('ticks before any call', () => readTrail(trail).length > 3)
    await hooks.onGate({})
    const seen = readTrail(trail).length
    await until('ticks after it', () => readTrail(trail).length > seen + 3)
  })

  it('that sleeps serves its plugins’ sockets', async () => {
    const trail = createTrail()
    const serve = `return import('node:http').then(async ({ createServer }) => {
      const server = createServer((_, response) => response.end('here')).listen(0, '127.0.0.1')
      await new Promise((resolve) => server.once('listening', resolve))
      note(trail, String(server.address().port))
      return { onGate() {}, destroy: () => server.close() }
    })`
    const { hooks } = await openLab({ wait: 'park', plugins: [plugin(serve, trail)] })
    await hooks.onGate({})
    const [port] = readTrail(trail)
    const response = await fetch(`http://127.0.0.1:${port}/`)
    expect(await response.text()).toBe('here')
  })

  it('runs what a sync hook leaves behind, before it sleeps', async () => {
    const trail = createTrail()
    const { hooks } = await openLab({
      wait: 'park',
      plugins: [
        plugin(
          `return {
        onGate() {
          queueMicrotask(() => note(trail, 'microtask'))
          setImmediate(() => note(trail, 'immediate'))
          process.nextTick(() => note(trail, 'tick'))
        },
      }`,
          trail,
        ),
      ],
    })
    await hooks.onGate({})
    await until('all of it', () => readTrail(trail).length === 3)
    expect(readTrail(trail).sort()).toEqual(['immediate', 'microtask', 'tick'])
  })

  it('gives timers their turn while calls keep it busy', async () => {
    const trail = createTrail()
    const { hooks } = await openLab({
      plugins: [plugin("setInterval(() => note(trail, 'tick'), 5); return { onGate() {} }", trail)],
    })
    const end = Date.now() + 300
    while (Date.now() < end) await Promise.all(Array.from({ length: 200 }, () => hooks.onGate({})))
    expect(readTrail(trail).length).toBeGreaterThan(10)
  })

  it('runs no more async hooks at once than it may, and all of them in the end', async () => {
    const trail = createTrail()
    const { hooks } = await openLab({
      limits: { concurrency: 3 },
      plugins: [
        plugin(
          `let running = 0; return {
        async onGate() {
          running += 1
          note(trail, String(running))
          await new Promise((resolve) => setTimeout(resolve, 10))
          running -= 1
        },
      }`,
          trail,
        ),
      ],
    })
    await Promise.all(Array.from({ length: 20 }, () => hooks.onGate({})))
    const counts = readTrail(trail).map(Number)
    expect(counts).toHaveLength(20)
    expect(Math.max(...counts)).toBe(3)
  })

  it('has nothing of another plugin’s past: each generation is a new thread', async () => {
    const trail = createTrail()
    const leave =
      "globalThis.left = (globalThis.left ?? 0) + 1; note(trail, 'left ' + globalThis.left); return { onGate() {} }"
    const { engine } = await openLab({ plugins: [plugin(leave, trail)] })
    await engine.reload('own')
    await engine.reload('own')
    expect(readTrail(trail)).toEqual(['left 1', 'left 1', 'left 1'])
  })

  it('takes a hook that answers both ways, at once and later', async () => {
    const { hooks } = await openLab({ plugins: [actor('a'), actor('b')] })
    for (let id = 0; id < 30; id += 1) {
      const acts = { a: id % 2 === 0 ? 'marks' : 'later marks', b: id % 3 === 0 ? 'later marks' : 'marks' }
      expect(await hooks.onTransform({ id, acts })).toMatchObject({ event: { text: '+a+b' } })
    }
  })

  it('takes promises that are not of its own making', async () => {
    const { hooks } = await openLab({
      plugins: [
        plugin(
          "return { onRespond: () => ({ then(resolve) { setTimeout(resolve, 5, { text: 'thenable' }) } }), onGate: () => ({ then(_, fail) { fail(new RangeError('thenable')) } }) }",
          createTrail(),
        ),
      ],
    })
    expect(await hooks.onRespond({})).toMatchObject({ value: { text: 'thenable' } })
    expect(await hooks.onGate({})).toMatchObject({
      failure: { kind: 'error', message: expect.stringContaining('RangeError: thenable') },
    })
  })

  it('takes a verdict once from a promise that settles twice', async () => {
    const { hooks, said } = await openLab({
      plugins: [
        plugin(
          "return { onRespond: () => ({ then(resolve, fail) { resolve({ text: 'first' }); resolve({ text: 'second' }); fail(new Error('third')) } }) }",
          createTrail(),
        ),
      ],
    })
    for (let round = 0; round < 5; round += 1)
      expect(await hooks.onRespond({})).toMatchObject({ value: { text: 'first' } })
    expect(said.laneReplaced).toEqual([])
  })
})
