/**
 * The broker's figures among the metrics of its engine: clients, messages, and what the hooks refused, left undecided and
 * dropped. Brokers that share a registry are added up. Host's thread only.
 *
 * A registry takes whatever has a name and a `get()`; so the adapter needs no package for it.
 */
import type { HookCounts } from './counts.js'
import type { BrokerStats } from './services.js'

export interface MetricSource {
  readonly counts: HookCounts
  stats(): Promise<BrokerStats>
}

interface Registry {
  registerMetric(metric: object): void
}

interface Sample {
  readonly value: number
  readonly labels: Readonly<Record<string, string>>
}

interface Family {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge'
  read(stats: BrokerStats, counts: HookCounts): Sample[]
}

const one = (value: number): Sample[] => [{ value, labels: {} }]
const by = (label: string, values: Readonly<Record<string, number>>): Sample[] =>
  Object.entries(values).map(([name, value]) => ({ value, labels: { [label]: name } }))

/** Every metric of a broker, for the registry and for the docs. */
export const FAMILIES: readonly Family[] = [
  {
    name: 'hookring_mqtt_clients_connected',
    help: 'Clients that are connected.',
    type: 'gauge',
    read: ({ clientsConnected }) => one(clientsConnected),
  },
  {
    name: 'hookring_mqtt_clients_total',
    help: 'Connected clients and kept sessions.',
    type: 'gauge',
    read: ({ clientsTotal }) => one(clientsTotal),
  },
  {
    name: 'hookring_mqtt_subscriptions',
    help: 'Subscriptions of connected clients and kept sessions.',
    type: 'gauge',
    read: ({ subscriptions }) => one(subscriptions),
  },
  {
    name: 'hookring_mqtt_messages_total',
    help: 'Messages that came from clients (received) and went to them (sent).',
    type: 'counter',
    read: ({ messagesReceived, messagesSent }) => by('direction', { received: messagesReceived, sent: messagesSent }),
  },
  {
    name: 'hookring_mqtt_bytes_total',
    help: 'Bytes that came from clients (received) and went to them (sent).',
    type: 'counter',
    read: ({ bytesReceived, bytesSent }) => by('direction', { received: bytesReceived, sent: bytesSent }),
  },
  {
    name: 'hookring_mqtt_refused_total',
    help: 'What plugins refused.',
    type: 'counter',
    read: (_, counts) =>
      by('what', {
        connect: counts.connectsRefused,
        subscription: counts.subscriptionsRefused,
        publish: counts.publishesRefused,
        will: counts.willsRefused,
        delivery: counts.deliveriesRefused,
        retained: counts.retainedRefused,
      }),
  },
  {
    name: 'hookring_mqtt_undecided_total',
    help: 'What nobody decided about: plugins failed, or could not be asked.',
    type: 'counter',
    read: (_, counts) =>
      by('what', {
        connect: counts.connectsUndecided,
        subscription: counts.subscriptionsUndecided,
        publish: counts.publishesUndecided,
        will: counts.willsUndecided,
        delivery: counts.deliveriesUndecided,
        retained: counts.retainedUndecided,
      }),
  },
  {
    name: 'hookring_mqtt_dropped_total',
    help: 'Messages and deliveries that are lost.',
    type: 'counter',
    read: (_, counts) => by('what', { publish: counts.publishesDropped, delivery: counts.deliveriesDropped }),
  },
  {
    name: 'hookring_mqtt_publishes_held',
    help: 'Messages that nobody has decided about yet and that are asked about again.',
    type: 'gauge',
    read: (_, counts) => one(counts.publishesHeld),
  },
  {
    name: 'hookring_mqtt_connections_shed_total',
    help: 'Connections that were closed before CONNECT was accepted, and packets that were too large.',
    type: 'counter',
    read: (_, counts) => by('why', { stranger: counts.connectionsShed, packet_size: counts.packetsTooLarge }),
  },
]

const sourcesOf = new WeakMap<object, MetricSource[]>()

/** Adds a broker's figures to a registry; without one, to none. */
export function registerBroker(registry: unknown, source: MetricSource): void {
  if (!isRegistry(registry)) return
  const known = sourcesOf.get(registry)
  if (known !== undefined) {
    known.push(source)
    return
  }
  const sources = [source]
  sourcesOf.set(registry, sources)
  for (const family of FAMILIES) registry.registerMetric(new BrokerMetric(family, sources))
}

function isRegistry(value: unknown): value is Registry {
  return typeof (value as Partial<Registry> | null | undefined)?.registerMetric === 'function'
}

/** A metric as registries have them, which reads its values when it is scraped. */
class BrokerMetric {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge'
  readonly aggregator = 'sum'
  readonly #read: Family['read']
  readonly #sources: readonly MetricSource[]

  constructor({ name, help, type, read }: Family, sources: readonly MetricSource[]) {
    this.name = name
    this.help = help
    this.type = type
    this.#read = read
    this.#sources = sources
  }

  async get(): Promise<object> {
    const { name, help, type, aggregator } = this
    const samples = await Promise.all(
      this.#sources.map(async (source) => this.#read(await source.stats(), source.counts)),
    )
    return { name, help, type, aggregator, values: added(samples.flat()) }
  }

  /** The broker counts, and its counts do not go back. */
  reset(): void {}
}

function added(samples: readonly Sample[]): Sample[] {
  const sums = new Map<string, Sample>()
  for (const { value, labels } of samples) {
    const key = Object.values(labels).join()
    sums.set(key, { value: (sums.get(key)?.value ?? 0) + value, labels })
  }
  return [...sums.values()]
}
