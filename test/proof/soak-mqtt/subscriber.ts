/** A subscriber: a client of MQTT that keeps its session and knows nothing of nodes. */
import { connect, type MqttClient } from 'mqtt'
import type { Gateway } from './cluster.js'
import { type Ledger, readMessage } from './ledger.js'

const RECONNECT_MS = 50

function open(gateway: Gateway, clientId: string): MqttClient {
  const client = connect({
    ...{ host: '127.0.0.1', port: gateway.port, clientId, clean: false, reconnectPeriod: RECONNECT_MS },
    ...{ connectTimeout: 3_000, keepalive: 1, reconnectOnConnackError: true },
  })
  client.on('error', () => {})
  return client
}

export class Subscriber {
  readonly name: string
  readonly gateway: Gateway
  readonly #client: MqttClient

  constructor(name: string, gateway: Gateway, ledger: Ledger, nowMs: () => number) {
    this.name = name
    this.gateway = gateway
    this.#client = open(gateway, name)
    this.#client.on('message', (_topic, payload) => {
      const text = payload.toString()
      if (readMessage(text) !== null) ledger.arrive(name, text, nowMs())
    })
  }

  async subscribe(): Promise<void> {
    await this.#client.subscribeAsync('soak/#', { qos: 2 })
  }

  end(): void {
    this.#client.end(true)
  }
}
