/** The broker with its hooks, used by the mosquitto command line clients. */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it, onTestFinished } from 'vitest'
import { mqttActor, type RunningBroker, startBroker } from '../support/broker.js'
import { until } from '../support/lab.js'

// It says its version, with an exit code of its own mind.
const isInstalled = spawnSync('mosquitto_pub', ['--version']).error === undefined
const title = isInstalled ? 'mosquitto_pub and mosquitto_sub' : 'mosquitto_pub and mosquitto_sub (not installed here)'

const portOf = ({ url }: RunningBroker) => new URL(url).port

function publish(broker: RunningBroker, ...options: string[]): Promise<{ code: number; said: string }> {
  return new Promise((resolve) => {
    const child = execFile('mosquitto_pub', ['-p', portOf(broker), ...options], (_error, out, err) =>
      resolve({ code: child.exitCode ?? -1, said: out + err }),
    )
  })
}

interface Subscriber {
  readonly process: ChildProcess
  readonly lines: readonly string[]
  readonly exited: Promise<unknown>
}

async function subscribe(broker: RunningBroker, ...options: string[]): Promise<Subscriber> {
  const subscribed = once(broker.aedes, 'subscribe')
  const child = spawn('mosquitto_sub', ['-p', portOf(broker), '-v', ...options])
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  const exited = once(child, 'close')
  const lines: string[] = []
  child.stdout.setEncoding('utf8').on('data', (text: string) => lines.push(...text.trimEnd().split('\n')))
  await subscribed
  return { process: child, lines, exited }
}

describe.skipIf(!isInstalled)(title, () => {
  it('publish and receive at every QoS, through hooks that change and drop', async () => {
    const acts = [
      { on: 'onPublish', topic: 'room/no', reject: 'no' },
      { on: 'onPublishReceived', topic: 'room/old', replace: { topic: 'room/new' } },
      { on: 'onPublishDeliver', topic: 'room/last', replace: { payload: 'bye' } },
    ]
    const broker = await startBroker({ plugins: [mqttActor({ acts })] })
    const subscriber = await subscribe(broker, '-t', 'room/#', '-q', '2', '-C', '3')
    for (const [topic, qos] of [
      ['room/no', '2'],
      ['room/old', '0'],
      ['room/same', '1'],
      ['room/last', '2'],
    ]) {
      expect(await publish(broker, '-t', topic!, '-q', qos!, '-m', 'hello')).toEqual({ code: 0, said: '' })
    }
    await subscriber.exited
    expect(subscriber.lines).toEqual(['room/new hello', 'room/same hello', 'room/last bye'])
  })

  it('are refused with the return code that a hook chose', async () => {
    const acts = [
      { on: 'onConnect', clientId: 'banned', reject: 'no', code: 0x8a },
      { on: 'onConnect', clientId: 'wrong', reject: 'no', code: 0x86 },
    ]
    const broker = await startBroker({ plugins: [mqttActor({ acts })] })
    expect(await publish(broker, '-i', 'banned', '-t', 't', '-m', 'x')).toMatchObject({
      code: 5,
      said: expect.stringMatching(/not authori[sz]ed/i),
    })
    expect(await publish(broker, '-i', 'wrong', '-t', 't', '-m', 'x')).toMatchObject({
      code: 4,
      said: expect.stringMatching(/bad user ?name or password/i),
    })
  })

  it('keep a session, get what waited, and the retained message that they may read', async () => {
    const acts = [{ on: 'canRead', topic: 'q/hidden', reject: 'no' }]
    const broker = await startBroker({ plugins: [mqttActor({ acts })] })
    const session = ['-c', '-i', 'kept', '-q', '1', '-t', 'q/#']
    const first = await subscribe(broker, ...session)
    first.process.kill('SIGKILL')
    await first.exited
    await until('its end', () => broker.aedes.connectedClients === 0)
    for (const topic of ['q/hidden', 'q/a', 'q/b']) await publish(broker, '-r', '-q', '1', '-t', topic, '-m', 'x')
    const second = await subscribe(broker, ...session, '-C', '4')
    await second.exited
    // What waited comes first; then the subscription brings what is retained.
    expect(second.lines).toEqual(['q/a x', 'q/b x', 'q/a x', 'q/b x'])
  })
})
