/** A message to very many subscribers, on a machine that is busy: nobody runs out of time, nothing is lost. */
import { connect as connectSocket, type Socket } from 'node:net'
import { Worker } from 'node:worker_threads'
import { acl } from 'hookring/hooks'
import { generate, parser as openParser } from 'mqtt-packet'
import { expect, it, onTestFinished } from 'vitest'
import { connect, type RunningBroker, startBroker } from '../support/broker.js'
import { until } from '../support/lab.js'

const SUBSCRIBERS = 2_000
const MESSAGES = 3

/** Takes all that a core has, until the test is over. */
function busyThread(): void {
  const worker = new Worker('for (;;) {}', { eval: true })
  onTestFinished(async () => void (await worker.terminate()))
}

/** A client that subscribes to `t/#` and acknowledges what it gets; resolves with its count when it is subscribed. */
function subscriber(broker: RunningBroker, clientId: string): Promise<{ count: number }> {
  const seen = { count: 0 }
  return new Promise((resolve, reject) => {
    const socket: Socket = connectSocket(Number(new URL(broker.url).port), '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    const parser = openParser()
    const say = (packet: object) => socket.write(generate(packet as never))
    socket.on('error', reject)
    socket.on('data', (chunk: Buffer) => parser.parse(chunk))
    parser.on('packet', ({ cmd, messageId }) => {
      if (cmd === 'connack') say({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 't/#', qos: 1 }] })
      else if (cmd === 'suback') resolve(seen)
      else if (cmd === 'publish') {
        seen.count += 1
        say({ cmd: 'puback', messageId })
      }
    })
    say({ cmd: 'connect', clientId, protocolVersion: 4, clean: true, keepalive: 0 })
  })
}

it('reaches each of them once', { timeout: 120_000 }, async () => {
  const broker = await startBroker({
    plugins: [acl({ rules: [{ topicFilter: 't/secret' }, { topicFilter: '#', read: true, write: true }] })],
    // What an engine has by itself.
    engine: { timeoutMs: 100, quarantine: {} },
  })
  const subscribers: { count: number }[] = []
  for (let at = 0; at < SUBSCRIBERS; at += 100) {
    const some = Array.from({ length: 100 }, (_, index) => subscriber(broker, `s${at + index}`))
    subscribers.push(...(await Promise.all(some)))
  }
  busyThread()
  busyThread()
  const publisher = await connect(broker, { clientId: 'publisher' })
  await Promise.all(Array.from({ length: MESSAGES }, (_, index) => publisher.publish(`t/${index}`, 'x', { qos: 1 })))
  const total = () => subscribers.reduce((sum, { count }) => sum + count, 0)
  await until('all deliveries', () => total() === SUBSCRIBERS * MESSAGES, 60_000)
  expect(new Set(subscribers.map(({ count }) => count))).toEqual(new Set([MESSAGES]))
  expect(broker.attached.counts).toMatchObject({ deliveriesUndecided: 0, deliveriesDropped: 0, publishesUndecided: 0 })
  expect(broker.engine.plugins).toMatchObject([{ name: 'acl', state: 'active' }])
})
