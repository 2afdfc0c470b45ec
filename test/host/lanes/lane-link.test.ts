/** The host's end of the control plane, with a lane at the other end that sends what it likes. */
import { setImmediate as turn } from 'node:timers/promises'
import type { MessagePort } from 'node:worker_threads'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import type { LogBatch } from '../../../dist/contracts/log-batch.js'
import { LaneLink } from '../../../dist/host/lanes/lane-link.js'

const raw = (value: unknown) => ({ type: 'RAW', value })
const call = (fields: object) => ({ id: 'a', type: 'APPLY', path: ['log'], argumentList: [], ...fields })
const CODE = 'globalThis.isReached = true'

/** What no honest lane sends to what the host exposes. */
const MESSAGES: readonly (readonly [what: string, message: unknown])[] = [
  ['nothing at all', undefined],
  ['a null', null],
  ['a number', 5],
  ['a path that is none', call({ path: 5 })],
  ['a path to nowhere', call({ path: ['a', 'b', 'c'] })],
  ['arguments that are none', call({ argumentList: 5 })],
  ['an argument that is none', call({ argumentList: [null] })],
  ['an argument of an unknown kind', call({ argumentList: [{ type: 'HANDLER', name: 'nobody', value: 5 }] })],
  ['a port that is none', call({ argumentList: [{ type: 'HANDLER', name: 'proxy', value: 5 }] })],
  [
    'an error to throw',
    call({ argumentList: [{ type: 'HANDLER', name: 'throw', value: { isError: false, value: 5 } }] }),
  ],
  ['a type that is none', call({ type: 'EXPLODE' })],
  ['a wish to construct code', call({ type: 'CONSTRUCT', path: ['log', 'constructor'], argumentList: [raw(CODE)] })],
  ['a property for all objects', call({ type: 'SET', path: ['__proto__', 'isReached'], value: raw(true) })],
  ['another log in place of the host’s', call({ type: 'SET', value: raw(5) })],
  ['a wish to read', call({ type: 'GET', path: ['log', 'constructor', 'name'] })],
  ['an endpoint of its own', call({ type: 'ENDPOINT' })],
  ['a release', call({ type: 'RELEASE' })],
]

afterEach(() => {
  delete (Object.prototype as { isReached?: unknown }).isReached
  delete (globalThis as { isReached?: unknown }).isReached
})

function openLink() {
  const link = new LaneLink()
  onTestFinished(() => {
    link.close()
    link.ports.hostPort.close()
    link.ports.lanePort.close()
  })
  const batches: LogBatch[] = []
  const waiting: (() => void)[] = []
  link.onLog((batch) => {
    batches.push(batch)
    waiting.shift()?.()
  })
  return {
    port: link.ports.hostPort,
    batches,
    /** Resolves when the host has been given the next batch. */
    nextBatch: () => new Promise<void>((resolve) => waiting.push(resolve)),
  }
}

/** Whatever the host answers; what it constructed is called. */
function callWhatWasMade(port: MessagePort): unknown[] {
  const answers: unknown[] = []
  port.on('message', (answer: { name?: string; value?: MessagePort }) => {
    answers.push(answer)
    if (answer.name === 'proxy') answer.value?.postMessage(call({ path: [] }))
  })
  return answers
}

describe('a lane that sends', () => {
  it.each(MESSAGES)('%s reaches nothing, and its lines are logged all the same', async (_, message) => {
    const { port, batches, nextBatch } = openLink()
    const answers = callWhatWasMade(port)
    port.postMessage(message)
    const line = { level: 'info', plugin: 'p', message: 'honest' }
    const logged = nextBatch()
    port.postMessage(call({ id: 'b', argumentList: [raw(JSON.stringify({ lines: [line], dropped: 0 }))] }))
    await logged
    for (let turns = 0; turns < 5; turns += 1) await turn()
    expect('isReached' in globalThis).toBe(false)
    expect(batches).toMatchObject([{ lines: [line], dropped: 0 }])
    expect(answers).toEqual([{ id: 'b', ...raw(undefined) }])
  })

  it.each([
    [5],
    [null],
    [{ lines: [], dropped: 0 }],
    ['{'],
    ['{"lines":[{}],"dropped":0}'],
    ['{"lines":5}'],
    ['x'.repeat(600_000)],
  ])('a batch that is none (%.40s) has one line dropped', async (batch) => {
    const { port, batches, nextBatch } = openLink()
    const logged = nextBatch()
    port.postMessage(call({ argumentList: [raw(batch)] }))
    await logged
    expect(batches).toMatchObject([{ lines: [], dropped: 1 }])
  })
})
